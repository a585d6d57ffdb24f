package cases_test

import (
	"errors"
	"testing"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/store"
)

// TestLook looks at a case beside one whose name begins with its own, before
// and after it is erased.
func TestLook(t *testing.T) {
	s := new(store.Memory)
	put := func(key, body string) {
		t.Helper()
		if err := s.PutIfAbsent(t.Context(), key, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	look := func() cases.Folder {
		t.Helper()
		f, err := cases.Look(t.Context(), s, "customer")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	put(casefile.DeletedKey("customer0"), `{}`)
	put(casefile.ApplicationKey("customer0", 3), `{"n":3}`)
	if _, err := look().LatestApplication(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("application of an empty case: %v, want ErrNotFound", err)
	}

	for key, body := range map[string]string{
		casefile.ApplicationKey("customer", 9):                    `{"n":9,"consent":{}}`,
		casefile.ApplicationKey("customer", 10):                   `{"n":10}`,
		casefile.ApplicationPrefix("customer") + "of-nobody.json": `{"n":99,"consent":{}}`,
	} {
		put(key, body)
	}
	before := look()
	latest, err := before.LatestApplication(t.Context())
	if err != nil || latest.Object.N != 10 {
		t.Errorf("latest application = %d, %v, want 10", latest.Object.N, err)
	}
	consenting, err := before.ConsentingApplication(t.Context())
	if err != nil || consenting.Object.N != 9 {
		t.Errorf("consenting application = %d, %v, want 9", consenting.Object.N, err)
	}
	put(casefile.DeletedKey("customer"), `{}`)
	if after := look(); before.Erased() || !after.Erased() {
		t.Errorf("erased before the tombstone: %v, after it: %v", before.Erased(), after.Erased())
	}
}
