"""The checks behind the exercises: a module per chapter, a function per exercise, messages that say what is wrong."""
