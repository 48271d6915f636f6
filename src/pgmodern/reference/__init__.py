"""The four applications that pgmodern is measured against; the toolkit never imports them."""
