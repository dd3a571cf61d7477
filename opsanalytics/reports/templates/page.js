(function () {
  "use strict";
  var config = { displayModeBar: false, responsive: true, displaylogo: false, doubleClick: false, showTips: false };

  // The drawing keeps its proportions when the style sheet for print gives it another width.
  function keepRatio(chart) {
    var box = chart.querySelector(".svg-container");
    if (!box) { return; }
    var width = box.clientWidth, height = box.clientHeight;
    if (!width || !height) { return; }
    box.style.setProperty("--ratio", width + " / " + height);
    chart.querySelectorAll("svg.main-svg").forEach(function (svg) {
      svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    });
  }

  function draw(chart) {
    if (chart.dataset.drawn || chart.clientWidth === 0) { return; }
    chart.dataset.drawn = "yes";
    var source = JSON.parse(document.getElementById(chart.id + "-figure").textContent);
    window.Plotly.newPlot(chart, source.data, source.layout, config).then(function () {
      keepRatio(chart);
      chart.on("plotly_afterplot", function () {
        if (!window.matchMedia("print").matches) { keepRatio(chart); }
      });
    });
  }

  function drawAll() { document.querySelectorAll(".chart").forEach(draw); }

  // A chart in a closed <details> has no width; it is drawn when it is opened.
  document.addEventListener("toggle", function (event) {
    if (event.target.open) { event.target.querySelectorAll(".chart").forEach(draw); }
  }, true);

  function reveal() {
    var id = decodeURIComponent(window.location.hash.slice(1));
    var target = id && document.getElementById(id);
    if (!target) { return; }
    for (var node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") { node.open = true; }
    }
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", reveal);

  // Pages opened from disk have no clipboard API everywhere; selecting and copying works in all of them.
  function copy(button, source) {
    var range = document.createRange();
    range.selectNodeContents(source);
    var selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
  }
  document.querySelectorAll("pre.query").forEach(function (source) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy query";
    button.addEventListener("click", function () { copy(button, source); });
    source.after(button);
  });

  drawAll();
  reveal();
})();
