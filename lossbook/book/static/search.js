// A page that is a file may not read other files, as the search does to quote the pages that it found: it only lists them.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
