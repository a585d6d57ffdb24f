package face

// ReadPicture is Read from the decoded photo on.
func (r *Reader) ReadPicture(p *Picture) (*Face, error) { return r.read(p, DefaultBounds) }
