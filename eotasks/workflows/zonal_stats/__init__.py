"""`eotasks zonal-stats`: statistics of fields, date by date, from whatever source of images."""
