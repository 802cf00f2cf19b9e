//! The language of httpd.conf: text to a tree with spans, and every diagnostic at once.
