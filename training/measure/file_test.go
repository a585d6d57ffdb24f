package measure_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/measure"
)

func TestFileRoundTrip(t *testing.T) {
	want := []measure.Reading{
		{
			Label: evaluation.Label{File: "a.jpg", Age: 42, Person: "p", Groups: map[string]string{"dataset": "own", "sex": "female", "race": "black"}},
			Code:  reason.OK, Distribution: distribution(t, 40),
		},
		{Label: evaluation.Label{File: "b.jpg", Age: 7, Person: "q", Groups: map[string]string{"sex": "male"}}, Code: reason.Blurred},
	}
	var file bytes.Buffer
	if err := measure.Write(&file, want); err != nil {
		t.Fatal(err)
	}
	got, err := measure.ReadFile(&file)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("read again: %v (-want +got)\n%s", err, diff)
	}
}

// TestReadFile takes probabilities of any source, which do not sum to 1 as they
// are printed.
func TestReadFile(t *testing.T) {
	got, err := measure.ReadFile(strings.NewReader(`{"file":"a","age":1,"person":"p","code":"ok","distribution":[0.2,0.6000001,0]}` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(age.Distribution{0.25, 0.75, 0}, got[0].Distribution); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, line := range map[string]string{
		"no JSON":      "file\tage\n",
		"accepted":     `{"file":"a","age":1,"code":"ok"}`,
		"impossible":   `{"file":"a","age":1,"code":"ok","distribution":[-1,2]}`,
		"cut in a row": `{"file":"a","age":1,"code":"no_face"}` + "\n" + `{"file":`,
	} {
		if got, err := measure.ReadFile(strings.NewReader(line)); err == nil {
			t.Errorf("%s: ReadFile = %+v, want an error", name, got)
		}
	}
}
