package browsertest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/local"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/s3store"
)

// site is the page on a running stack, with a look behind it.
type site struct {
	*browser
	address string // of the page, without a slash at the end
	uploads string // origin of the uploads bucket
	cases   *s3store.Bucket
	photos  *s3store.Bucket
}

// lockedBuffer is what the functions print, from several processes.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// startSite runs the project's own template with the functions that
// `make functions` built, and a browser whose camera shows a picture.
func startSite(t *testing.T, root string, camera []byte) *site {
	t.Helper()
	functions := filepath.Join(root, "build")
	if _, err := os.Stat(filepath.Join(functions, "OnboardFunction", "bootstrap")); err != nil {
		if os.Getenv("AGEQUOTE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v; run make functions", err)
	}
	shots := filepath.Join(functions, "screenshots")
	if err := os.MkdirAll(shots, 0o700); err != nil {
		t.Fatal(err)
	}
	video := filepath.Join(t.TempDir(), "camera.mjpeg")
	if err := os.WriteFile(video, bytes.Repeat(camera, 8), 0o600); err != nil { // Motion JPEG is JPEGs in a row
		t.Fatal(err)
	}
	// The browser first: where there is none, nothing else is started.
	s := &site{browser: startBrowser(t, video, shots)}

	log := new(lockedBuffer)
	stack, err := local.Start(t.Context(), local.Options{
		Template:    filepath.Join(root, "template.yaml"),
		Parameters:  map[string]string{"AllowResearchModel": "yes"},
		Functions:   functions,
		Dir:         t.TempDir(),
		RetryWait:   50 * time.Millisecond,
		FunctionLog: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			log.mu.Lock()
			defer log.mu.Unlock()
			for line := range strings.Lines(log.Buffer.String()) {
				if strings.Contains(line, "ERROR") {
					t.Log(line)
				}
			}
		}
	})
	operator, endpoint := stack.Admin(), stack.S3Endpoint()
	client := s3.New(s3.Options{
		Region: stack.Region(), BaseEndpoint: &endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(operator.AccessKeyID, operator.SecretAccessKey, ""),
	})
	s.cases = &s3store.Bucket{Client: client, Name: stack.Resource("CasesBucket")}
	s.photos = &s3store.Bucket{Client: client, Name: stack.Resource("UploadsBucket")}
	s.address, s.uploads = stack.APIEndpoint("OnboardApi"), endpoint
	s.origins = []string{s.address, s.uploads}
	return s
}

// quote returns a stored quote.
func (s *site) quote(t *testing.T, id, cause string) casefile.Quote {
	t.Helper()
	q, err := cases.Read[casefile.Quote](t.Context(), s.cases, casefile.QuoteKey(id, cause))
	if err != nil {
		t.Fatal(err)
	}
	return q.Object
}

// record tells the code of each photo of a case, and which quotes it has, as
// they are stored.
func (s *site) record(t *testing.T, id string) (codes []reason.Code, quotes []string) {
	t.Helper()
	keys, err := s.cases.List(t.Context(), fmt.Sprintf("cases/%s/", id))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys { // in the order of the photos: S3 lists by name
		switch {
		case strings.HasSuffix(key, "/estimate.json"):
			e, err := cases.Read[casefile.Estimate](t.Context(), s.cases, key)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, e.Object.Code)
		case strings.HasPrefix(key, casefile.QuotesPrefix(id)):
			quotes = append(quotes, strings.TrimSuffix(filepath.Base(key), ".json"))
		}
	}
	return codes, quotes
}
