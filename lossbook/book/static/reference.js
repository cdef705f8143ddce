// The theme's buttons that open a part of the navigation have no name; they get that of the page they belong to.
for (const summary of document.querySelectorAll("summary")) {
  if (!summary.textContent.trim()) {
    const page = summary.closest("li")?.querySelector("a")?.textContent.trim();
    summary.setAttribute("aria-label", page ? `Pages below ${page}` : "Pages below");
  }
}
