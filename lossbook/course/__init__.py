"""Student and instructor notebooks, made from the chapters, and the grading of what students hand in."""
