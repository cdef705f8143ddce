// Mathematics that is wider than its place scrolls in a box of its own. The keyboard must reach that box, and no other.
(() => {
  const drawnWidth = box => box.querySelector("mjx-container")?.getBoundingClientRect().width ?? 0;
  const mark = () => {
    for (const box of document.querySelectorAll(".bd-article .math")) {
      if (drawnWidth(box) > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  window.addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(mark));
  window.addEventListener("resize", mark);
  document.addEventListener("toggle", mark, true); // a solution is opened
})();
