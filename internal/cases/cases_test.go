package cases_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/store"
)

// TestWriteOnce writes a name twice: the second writer gets the first one's.
func TestWriteOnce(t *testing.T) {
	s := new(store.Memory)
	first, err := cases.WriteOnce[casefile.Failure](t.Context(), s, "key", []byte(`{"stage":"predict"}`))
	if err != nil {
		t.Fatal(err)
	}
	second, err := cases.WriteOnce[casefile.Failure](t.Context(), s, "key", []byte(`{"stage":"quote"}`))
	if err != nil || second != first || second.Object.Stage != "predict" {
		t.Errorf("second write = %+v, %v, want %+v", second, err, first)
	}
}

// TestReadUnreadable reads what is no object of ours, one that is too large, and
// one of another case: the error holds nothing of it.
func TestReadUnreadable(t *testing.T) {
	s := new(store.Memory)
	for key, body := range map[string]string{
		"key":                                `{"n":"1984-05-17"}`,
		"large":                              `{"text":"1984-05-17` + strings.Repeat(" ", 1<<20) + `"}`,
		casefile.ApplicationKey("mine12", 1): `{"case":"mine1","n":1,"text":"1984-05-17"}`,
	} {
		if err := s.PutIfAbsent(t.Context(), key, []byte(body)); err != nil {
			t.Fatal(err)
		}
		_, err := cases.Read[casefile.Application](t.Context(), s, key)
		if !errors.Is(err, cases.ErrUnreadable) || strings.Contains(err.Error(), "1984") {
			t.Errorf("Read of %s = %v, want ErrUnreadable without the content", key, err)
		}
	}
}
