/* Draws every figure of the page from the JSON beside it. A colour there is the name of a custom property, "--ink" or
   "--ink/0.2", so that figures follow the reader's theme. Texts hold no markup: plotly would turn it into inline styles,
   which the content security policy forbids. */
"use strict";

(() => {
  const NARROW = window.matchMedia("(max-width: 40rem)");
  const DARK = window.matchMedia("(prefers-color-scheme: dark)");
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false };

  function colour(name) {
    const [property, opacity] = name.split("/");
    const probe = document.body.appendChild(document.createElement("span"));
    probe.style.color = `var(${property})`;
    const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g);
    probe.remove();
    return `rgba(${red},${green},${blue},${opacity ?? 1})`;
  }

  function coloured(value) {
    if (typeof value === "string") return value.startsWith("--") ? colour(value) : value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, coloured(inner)]));
  }

  function axis(own) {
    const common = {
      gridcolor: "--rule", linecolor: "--rule-strong", zerolinecolor: "--rule-strong", tickcolor: "--rule-strong",
      fixedrange: true, automargin: true, showline: true, ticks: "outside", ticklen: 4,
    };
    const title = { ...own.title, font: { size: 13, color: "--muted" }, standoff: 10 };
    return { ...common, ...own, title };
  }

  function layout(own) {
    const family = getComputedStyle(document.body).fontFamily;
    return {
      ...own,
      font: { family, size: 13, color: "--ink" },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 58, r: NARROW.matches ? 8 : 24, t: 12, b: 44 },
      hoverlabel: { bgcolor: "--raised", bordercolor: "--rule-strong", font: { family, size: 13, color: "--ink" }, align: "left" },
      legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", font: { size: 13 }, itemclick: false,
        itemdoubleclick: false, traceorder: "normal", ...own.legend },
      xaxis: axis(own.xaxis), yaxis: axis(own.yaxis),
      hovermode: "closest", dragmode: false,
    };
  }

  // A figure with a choice holds the traces of each series once, and for each choice the y of those it has.
  function traces(given, choice) {
    if (!choice) return given.data;
    return Object.entries(given.choices[choice]).flatMap(([name, heights]) => given.series[name].map((trace, i) => ({ ...trace, y: heights[i] })));
  }

  function draw(figure) {
    const plot = figure.querySelector(".plot");
    const given = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const choice = figure.querySelector("select")?.value;
    figure.hidden = false;
    window.Plotly.react(plot, coloured(traces(given, choice)), coloured(layout(given.layout)), CONFIG);
  }

  const drawAll = () => document.querySelectorAll("figure.figure").forEach(draw);
  drawAll();
  document.querySelectorAll("figure.figure select").forEach((select) => select.addEventListener("change", () => draw(select.closest("figure"))));
  DARK.addEventListener("change", drawAll);
  NARROW.addEventListener("change", drawAll);
})();
