"""The chapters: one for each letter of the checklist, and a first one."""
