"""The book as a site: chapters executed and frozen, atlas, comparison, API, bibliography. `lossbook book` builds it."""
