package quote

import (
	"context"
	"strings"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/reason"
)

// estimate returns the estimate that a cause is quoted with: the photo's own,
// or for a corrected fact that of the newest photo that was read, since a
// corrected weight makes nobody's photo void. ok is false where there is none.
func (h *Handler) estimate(ctx context.Context, c event.Cause, folder cases.Folder) (found cases.Stored[casefile.Estimate], ok bool, err error) {
	kind, n, _ := casefile.ParseCause(c.Cause)
	if kind == "photo" {
		found, err = cases.Read[casefile.Estimate](ctx, h.Cases, casefile.EstimateKey(c.Case, n))
		return found, err == nil, err
	}
	for _, key := range folder.Under(casefile.PhotosPrefix(c.Case)) { // in the order of the photos' numbers
		if !strings.HasSuffix(key, "/estimate.json") {
			continue
		}
		e, err := cases.Read[casefile.Estimate](ctx, h.Cases, key)
		if err != nil {
			return found, false, err
		}
		if e.Object.Code == reason.OK {
			found, ok = e, true
		}
	}
	return found, ok, nil
}
