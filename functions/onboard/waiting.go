package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/onboard"
)

// This file stands in for internal/consent and internal/erasure until they are
// merged, and goes then.

func consents(days int) []onboard.Consent {
	c := onboard.Consent{
		Version: "2026-11-1",
		Purpose: "age estimate for a quote",
		Days:    days,
		Text: map[string]string{
			"en": fmt.Sprintf("I agree that my age is estimated from my photo to quote a life insurance premium.\n\nAn underwriter may look at the photo. It is deleted after %d days at most. I can withdraw this at any time.", days),
			"de": fmt.Sprintf("Ich willige ein, dass mein Alter aus meinem Foto geschätzt wird, um mir eine Prämie für eine Lebensversicherung zu nennen.\n\nEine Sachbearbeiterin oder ein Sachbearbeiter kann das Foto ansehen. Es wird nach spätestens %d Tagen gelöscht. Ich kann das jederzeit widerrufen.", days),
		},
	}
	c.Hash = digest.Of(fmt.Appendf(nil, "%s\n%d\n%s\n%s", c.Version, days, c.Text["en"], c.Text["de"]))
	return []onboard.Consent{c}
}

type noEraser struct{}

func (noEraser) Erase(context.Context, string, string) (any, error) {
	return nil, errors.New("deletion is not built in yet")
}
