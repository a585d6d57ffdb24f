package batch

import "io"

func (c *Collector) WriteReport(w io.Writer, s Summary) error { return nil }
