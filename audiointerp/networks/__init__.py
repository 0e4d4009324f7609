"""Networks whose class names and front end travel with them."""
