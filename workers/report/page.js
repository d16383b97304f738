// The page of a report: draws the plots, sorts and searches the words, changes the words of the plot over time.
// Makes no request and no code out of text; whatever is a word or a label goes into the page as text.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const grouped = new Intl.NumberFormat("en-US");

  // ---- Plots, and their colours in the two schemes

  const colourPlots = () => {
    const style = getComputedStyle(root);
    const soft = style.getPropertyValue("--soft").trim();
    const rule = style.getPropertyValue("--rule").trim();
    const ground = style.getPropertyValue("--ground").trim();
    for (const made of Bokeh.documents) {
      for (const model of made.all_models) {
        if (/Axis$/.test(model.type)) {
          model.setv({ axis_label_text_color: soft, major_label_text_color: soft });
          if (model.axis_line_color !== null) model.setv({ axis_line_color: rule });
          if (model.major_tick_line_color !== null) model.setv({ major_tick_line_color: rule });
        } else if (model.type === "Figure") {
          // Not left transparent: what a plot drew before it knew its width would shine through.
          model.setv({ background_fill_color: ground, border_fill_color: ground });
        } else if (model.type === "Grid" && model.grid_line_color !== null) {
          model.setv({ grid_line_color: rule });
        }
      }
    }
  };

  const isDark = () => {
    const chosen = root.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };

  const startTheme = () => {
    const button = byId("theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      colourPlots();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colourPlots);
  };

  const drawPlots = async () => {
    const items = JSON.parse(byId("plot-data").textContent);
    await Promise.all(Object.entries(items).map(([place, item]) => Bokeh.embed.embed_item(item, place)));
    colourPlots();
    root.dataset.drawn = "yes";
  };

  // ---- The table of words

  const startTable = (table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({
      row,
      word: row.cells[1].dataset.word,
      folded: row.cells[1].dataset.word.toLowerCase(),
      letterless: row.classList.contains("letterless"),
      values: [...row.cells].map((cell) => Number(cell.dataset.value ?? cell.textContent.replaceAll(",", ""))),
    }));
    const search = byId("search");
    const letterless = byId("letterless");
    const output = byId("rows-shown");

    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      let shown = 0;
      for (const one of rows) {
        one.row.hidden = (one.letterless && !letterless.checked) || !one.folded.includes(wanted);
        if (!one.row.hidden) shown += 1;
      }
      output.textContent = `${grouped.format(shown)} ${output.dataset.unit}`;
    };

    const order = new Intl.Collator("zh");
    const compare = (column, isText) => (one, other) => {
      if (isText) return order.compare(one.word, other.word);
      const [left, right] = [one.values[column], other.values[column]];
      // What has no number comes last, whichever way the others go.
      if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
      return left - right;
    };

    const sort = (head, button) => {
      const isText = button.dataset.kind === "text";
      const before = head.getAttribute("aria-sort");
      // Numbers begin with the largest, ranks and words with the first.
      const startsUp = isText || head.cellIndex === 0;
      const up = before ? before !== "ascending" : startsUp;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const ranked = compare(head.cellIndex, isText);
      const missing = (one) => !isText && Number.isNaN(one.values[head.cellIndex]);
      rows.sort((one, other) => (missing(one) || missing(other) || up ? ranked(one, other) : -ranked(one, other)));
      body.append(...rows.map((one) => one.row));
    };

    for (const head of table.tHead.rows[0].cells) {
      const button = head.firstElementChild;
      button.addEventListener("click", () => sort(head, button));
    }
    search.addEventListener("input", filter);
    letterless.addEventListener("change", filter);
    filter();
  };

  // ---- Words over time

  const startTimes = (times) => {
    const chips = byId("chips");
    const answer = byId("word-answer");
    const colours = chips.dataset.colours.split(" ");
    const words = new Map(times.words.map(([word, shown, counts]) => [word, { shown, counts }]));
    const lines = colours.map(() => null);
    const find = (name) => {
      for (const made of Bokeh.documents) {
        for (const model of made.all_models) if (model.name === name) return model;
      }
      return null;
    };
    const plot = find("times");
    const sources = colours.map((_, number) => find(`line-${number}`));
    // The instants of a line that is drawn already are those of all.
    const { at, period } = sources[0].data;

    const addChip = (place, word, colour, does) => {
      const chip = document.createElement("button");
      chip.type = "button";
      if (colour) {
        const line = document.createElement("i");
        line.style.setProperty("--line", colour);
        chip.append(line);
        chip.setAttribute("aria-label", `${chips.dataset.remove}: ${word}`);
      }
      const name = document.createElement("bdi");
      name.textContent = words.get(word).shown;
      chip.append(name);
      if (colour) chip.append("×");
      chip.addEventListener("click", does);
      place.append(chip);
    };

    const rates = (counts) => counts.map((count, index) => (times.tokens[index] ? (count / times.tokens[index]) * 1e6 : NaN));

    const show = () => {
      chips.replaceChildren();
      let highest = 0;
      lines.forEach((word, number) => {
        const one = word === null ? null : words.get(word);
        const empty = { at: [], period: [], count: [], rate: [], word: [] };
        sources[number].data = one === null ? empty : {
          at,
          period,
          count: one.counts,
          rate: rates(one.counts),
          word: one.counts.map(() => one.shown),
        };
        highest = Math.max(highest, ...sources[number].data.rate.filter((rate) => !Number.isNaN(rate)));
        if (word !== null) addChip(chips, word, colours[number], () => { lines[number] = null; show(); });
      });
      plot.y_range.setv({ end: highest * 1.05 || 1 });
    };

    const add = (word) => {
      answer.textContent = "";
      if (lines.includes(word)) return true;
      const free = lines.indexOf(null);
      if (!words.has(word)) answer.textContent = answer.dataset.unknown;
      else if (free < 0) answer.textContent = answer.dataset.full;
      else {
        lines[free] = word;
        show();
        return true;
      }
      return false;
    };

    const form = byId("word-form");
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const input = byId("word-input");
      if (add(input.value) || add(input.value.trim())) input.value = "";
    });
    byId("word-list").append(...times.words.map(([word]) => {
      const option = document.createElement("option");
      option.value = word;
      return option;
    }));
    const changing = times.changing.length ? times.changing : times.words.map(([word]) => word).slice(0, 12);
    for (const word of changing) addChip(byId("changing"), word, null, () => add(word));
    changing.slice(0, colours.length - 1).forEach((word, number) => { lines[number] = word; });
    show();
  };

  const start = async () => {
    startTheme();
    const table = byId("word-table");
    if (table) startTable(table);
    await drawPlots();
    const times = JSON.parse(byId("time-data")?.textContent ?? "null");
    if (times) startTimes(times);
    root.dataset.ready = "yes";
  };

  start();
})();
