package evaluation

// AgeGroups returns the names of the groups of age that a person belongs to:
// the band, and the adults who buy.
func AgeGroups(years float64) []string {
	var names []string
	for _, b := range append(bands[:len(bands):len(bands)], adults) {
		if b.holds(years) {
			names = append(names, b.name)
		}
	}
	return names
}
