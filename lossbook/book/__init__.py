"""The book as a site: chapters executed and frozen, atlas, comparison, API, one bibliography. `lossbook book` builds it."""
