"""What a summary says that its document does not."""

from __future__ import annotations

import pytest

from tasks.summarize.faithfulness import SourceFacts, dates
from tasks.summarize.summary_measures import Source, measure, worst_cases

TEXT = "2024年7月8日，王小明在北京投资１２万元，占35.5%，BERT模型共3,000个，历时二十天。"


@pytest.fixture(scope="module")
def facts() -> SourceFacts:
    return SourceFacts(TEXT)


def test_what_the_document_says_in_another_way_is_not_invented(facts: SourceFacts) -> None:
    found = facts.check("7月8日王小明在北京投资十二万元，120000元占３５．５０%，bert模型3000个，历时20天")
    assert len(found.numbers) == 7
    assert found.dates == ("7月8日",)
    assert {"bert", "王小明", "北京"} <= set(found.names)
    assert found.invented == 0


@pytest.mark.parametrize("number", ["12", "2025", "35", "5.5", "300", "一百二十", "3,001"])
def test_another_number_is_invented_also_if_it_is_a_part_of_one(facts: SourceFacts, number: str) -> None:
    assert facts.check(f"共{number}个").invented_numbers == (number,)


def test_dates_are_compared_as_wholes_and_by_what_they_say(facts: SourceFacts) -> None:
    assert facts.check("2024年7月8日、7月、8日、2024-07-08、2024年").invented_dates == ()
    assert facts.check("8月7日").invented_dates == ("8月7日",)
    assert facts.check("8月7日").invented_numbers == ()


def test_names_that_the_document_has_nowhere_are_invented(facts: SourceFacts) -> None:
    assert facts.check("上海的GPT模型").invented_names == ("gpt", "上海")
    # A part of a Latin word is no word of the document.
    assert facts.check("BER").invented_names == ("ber",)


def test_dates_are_read_in_all_their_forms() -> None:
    written = "2024年7月08日，3月，19日，2023-07-08，十二月二十五日，10年，20240708，2024.7.8，二〇二三年"
    assert [date for date, _ in dates(written)] == [
        *[("2024", "7", "8"), (None, "3", None), (None, None, "19"), ("2023", "7", "8"), (None, "12", "25")],
        *[("2024", "7", "8"), ("2023", None, None)],
    ]


def test_figures_are_sums_and_the_worst_come_first() -> None:
    summaries = ["共12万元", "", "共5个，共6个，8月7日", "共4个"]
    sources = [Source(TEXT)] * 4
    measures, claims = measure(summaries, sources)
    assert (measures.numbers, measures.invented_numbers, measures.dates, measures.invented_dates) == (6, 3, 1, 1)
    assert measures.faithful_numbers == 50
    assert measures.faithful_names is None
    assert measures.coverage is not None
    cases = worst_cases(summaries, sources, claims, 5)
    assert [(case.document, case.numbers, case.dates) for case in cases] == [
        (3, ("5", "6"), ("8月7日",)),
        (4, ("4",), ()),
    ]
    assert worst_cases(summaries, sources, claims, 1) == cases[:1]
    assert TEXT.startswith(cases[0].text_start)
