// How is use by day plotted? Reads the table beside the plot, so that both always agree; colours are
// those of the theme. Text is drawn on the canvas: the page's policy allows no styles in HTML.

const PALETTE = { light: ["#0b6a8f", "#d08a1d", "#4a7f3b", "#8a4fa3", "#b3453f", "#5a6577"], dark: ["#5cc0e4", "#ecb654", "#7cc46a", "#c390dc", "#f28b82", "#9ba8ba"] };
const FORMAT = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const DAY_MS = 86_400_000;

const box = document.getElementById("plot");
const table = box && document.querySelector(box.dataset.source);

function daysBetween(since, until) {
  const days = [];
  for (let day = Date.parse(since); day <= Date.parse(until); day += DAY_MS) days.push(new Date(day).toISOString().slice(0, 10));
  return days;
}

function readTable() {
  const days = daysBetween(box.dataset.since, box.dataset.until);
  const divisor = (box.dataset.unit.endsWith("-hours") ? 3600 : 1) * (box.dataset.unit.startsWith("GiB") ? 1024 : 1);
  const series = [...table.tHead.rows[0].cells].slice(1).map((cell) => ({ name: cell.textContent.trim(), data: days.map(() => 0) }));
  for (const row of table.tBodies[0].rows) {
    const index = days.indexOf(row.cells[0].dataset.value);
    if (index < 0) continue;
    series.forEach((one, column) => (one.data[index] = Number(row.cells[column + 1].dataset.value) / divisor));
  }
  return { days, series };
}

function options() {
  const { days, series } = readTable();
  const style = getComputedStyle(document.documentElement);
  const probe = (name) => {
    const element = document.createElement("span");
    element.style.color = `var(${name})`;
    document.body.append(element);
    const colour = getComputedStyle(element).color;
    element.remove();
    return colour;
  };
  const [text, muted, line, surface] = ["--text", "--muted", "--line", "--raised"].map(probe);
  const font = { color: muted, fontFamily: style.fontFamily, fontSize: 12 };
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  return {
    animation: !still,
    animationDuration: 300,
    aria: { enabled: false }, // the box carries its own description, and the table the values
    color: PALETTE[document.documentElement.getAttribute("data-bs-theme")],
    grid: { left: 8, right: 8, top: 40, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    legend: { type: "scroll", pageIconColor: muted, pageTextStyle: font, top: 0, right: 0, left: 0, itemWidth: 12, itemHeight: 12, itemGap: 18, icon: "roundRect", textStyle: { ...font, color: text } },
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      axisPointer: { type: "shadow" },
      backgroundColor: surface,
      borderColor: line,
      textStyle: { ...font, color: text },
      valueFormatter: (value) => `${value.toLocaleString("en-GB", { maximumSignificantDigits: 3 })} ${box.dataset.unit}`,
    },
    xAxis: {
      type: "category",
      data: days.map((day) => FORMAT.format(new Date(day))),
      axisLabel: { ...font, hideOverlap: true },
      axisTick: { show: false },
      axisLine: { lineStyle: { color: line } },
    },
    yAxis: { type: "value", axisLabel: font, splitLine: { lineStyle: { color: line } } },
    series: series.map((one) => ({ ...one, type: "bar", stack: "use", barMaxWidth: 22, itemStyle: { borderColor: surface, borderWidth: 0.5 } })),
  };
}

function showDay(chart, index) {
  const day = readTable().days[index];
  const filter = document.querySelector('[data-filter="#usage-table"]');
  for (const row of document.querySelectorAll("#usage-table tbody tr")) row.hidden = row.dataset.day !== day;
  if (filter) filter.closest("section").scrollIntoView({ block: "nearest" });
}

if (box && window.echarts) {
  box.hidden = false;
  document.querySelector("[data-plot-table]").open = false;
  const chart = echarts.init(box);
  const draw = () => chart.setOption(options(), true);
  draw();
  chart.on("click", (event) => showDay(chart, event.dataIndex));
  document.addEventListener("panhub:theme", draw);
  new ResizeObserver(() => chart.resize()).observe(box);
}
