"""INT8 in standard operators: what is quantised, and Q/DQ nodes put in and taken out."""
