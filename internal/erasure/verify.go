package erasure

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/agequote/agequote/internal/casefile"
)

// reader is what Verify asks of the cases bucket.
type reader interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
}

// Verify follows the hashes within a case: what an object says of the one
// before it must be the hash of an object that stands there, or stood before
// its personal data went. It returns a line for each link that leads nowhere.
func Verify(ctx context.Context, s reader, id string) (problems []string, err error) {
	keys, err := s.List(ctx, casefile.Prefix(id))
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	known, previous := map[string]bool{}, map[string]string{}
	for _, key := range keys {
		body, err := s.Get(ctx, key, maxObject)
		if err != nil {
			return nil, fmt.Errorf("read object: %w", err)
		}
		known[OriginalHash(body)] = true
		var link struct{ Previous string }
		if json.Unmarshal(body, &link) == nil && link.Previous != "" {
			previous[key] = link.Previous
		}
	}
	for _, key := range keys {
		if hash := previous[key]; hash != "" && !known[hash] {
			problems = append(problems, fmt.Sprintf("%s follows an object that is not there, or was changed", key))
		}
	}
	return problems, nil
}
