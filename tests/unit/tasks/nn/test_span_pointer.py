from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from tasks.nn.span_pointer import (
    FORBIDDEN,
    SpanBatch,
    SpanPointer,
    SpanPointerSettings,
    SpanTower,
    best_spans,
    soft_target_loss,
)

SETTINGS = SpanPointerSettings(characters=50, features=4, channels=16, pair_channels=8, min_width=2, max_width=6)


def pointer(towers: int = 1) -> SpanPointer:
    torch.manual_seed(1)
    made = SpanPointer(SpanPointerSettings(50, 4, 16, 8, min_width=2, max_width=6, towers=towers)).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("alpha"):
                parameter.fill_(0.7)
    return made


def batch(lengths: list[int], room: int = 6) -> SpanBatch:
    longest = max(lengths)
    characters = torch.zeros(len(lengths), longest, dtype=torch.int32)
    features = torch.zeros(len(lengths), longest, 4)
    rooms = torch.zeros(len(lengths), longest, dtype=torch.int32)
    may_end = torch.zeros(len(lengths), longest, dtype=torch.bool)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(length)
        characters[row, :length] = torch.randint(1, 50, (length,), generator=generator, dtype=torch.int32)
        features[row, :length] = torch.randn(length, 4, generator=generator)
        rooms[row, :length] = (length - torch.arange(length)).clamp(max=room)
        may_end[row, :length] = True
    return SpanBatch(characters, features, rooms, may_end)


def allowed_places(scores: Tensor) -> set[tuple[int, int]]:
    return {(int(start), int(start + width + 1)) for start, width in torch.nonzero(scores[0] > FORBIDDEN / 2)}


def test_the_scores_of_a_text_do_not_depend_on_its_neighbours() -> None:
    made = pointer()
    alone = made(batch([11]))
    beside = made(batch([300, 11, 40]))[1, :11]
    assert torch.allclose(alone[0], beside, atol=1e-5, rtol=0)


def test_no_span_leaves_the_text_or_is_narrower_or_wider_than_allowed() -> None:
    scores = pointer()(batch([9, 4]))
    assert allowed_places(scores[:1]) == {
        (start, end) for start in range(9) for end in range(start + 2, 10) if end <= start + 6
    }
    assert allowed_places(scores[1:]) == {(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)}


def test_spans_keep_to_the_room_of_their_start_and_to_the_allowed_ends() -> None:
    windows = batch([8], room=3)
    windows.room[0, 0] = 0
    windows.may_end[0, 4] = False
    places = allowed_places(pointer()(windows))
    assert all(start != 0 and end != 5 and end - start <= 3 for start, end in places)
    assert (1, 4) in places


def test_a_span_scores_the_sum_of_its_parts() -> None:
    made = pointer()
    windows = batch([7])
    tower = cast(SpanTower, made.towers[0])
    scores = made(windows)
    hidden: list[Tensor] = []
    hook = tower.scores.register_forward_hook(lambda _module, _inputs, output: hidden.append(output))
    made(windows)
    hook.remove()
    start, end, member, starts, ends = torch.split(hidden[0][0], [1, 1, 1, 8, 8], dim=-1)
    expected = start[2] + end[4] + member[2:5].sum() + starts[2] @ ends[4] / 8**0.5 + tower.width_bias[2]
    assert torch.allclose(scores[0, 2, 2], expected, atol=1e-5)


def test_two_towers_are_averaged() -> None:
    made = pointer(towers=2)
    windows = batch([10])
    parts = [scores for scores, _ in made.tower_scores(windows)]
    assert not torch.allclose(parts[0], parts[1])
    assert torch.allclose(made(windows), (parts[0] + parts[1]) / 2)


def test_the_best_spans_come_best_first() -> None:
    scores = torch.full((1, 4, 3), FORBIDDEN)
    scores[0, 1, 2] = 5.0
    scores[0, 3, 0] = 7.0
    starts, ends, values = best_spans(scores, 2)
    assert (starts.tolist(), ends.tolist(), values.tolist()) == ([[3, 1]], [[4, 4]], [[7.0, 5.0]])


def test_more_spans_than_there_are_is_all_of_them() -> None:
    starts, _, _ = best_spans(torch.zeros(1, 2, 2), 100)
    assert starts.shape == (1, 4)


def test_the_loss_is_the_cross_entropy_with_the_target() -> None:
    scores = torch.randn(2, 3, 2)
    places = torch.tensor([[0, 5], [3, 0]])
    shares = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    logarithms = scores.flatten(1).log_softmax(dim=1)
    expected = -(0.25 * logarithms[0, 0] + 0.75 * logarithms[0, 5] + logarithms[1, 3]) / 2
    assert torch.allclose(soft_target_loss(scores, places, shares), expected)


def test_hidden_characters_are_hidden_in_training_only() -> None:
    torch.manual_seed(0)
    made = SpanPointer(SETTINGS, character_dropout=1.0)
    windows = batch([6, 4])
    assert made._hidden(windows.characters).tolist() == [[1] * 6, [1] * 4 + [0] * 2]
    assert torch.equal(made.eval()._hidden(windows.characters), windows.characters)


def test_every_parameter_is_trained() -> None:
    made = pointer(towers=2).train()
    scores = made.tower_scores(batch([12, 9]))
    loss = torch.stack(
        [soft_target_loss(part, torch.tensor([[14, 20], [8, 9]]), torch.full((2, 2), 0.5)) for part, _ in scores]
    )
    loss.sum().backward()  # type: ignore[no-untyped-call]
    unused = [name for name, parameter in made.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert unused == []
