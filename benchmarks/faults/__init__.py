"""Shows by counts that an index survives kills, bad files, two at once and damage."""
