"""`eotasks zonal-stats`: statistics of fields, date by date, as a table and as pictures."""
