// The review page's frame.
