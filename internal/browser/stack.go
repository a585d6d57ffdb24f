package browser

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/local"
	"github.com/agequote/agequote/internal/s3store"
)

// Stack is the project's own template with the functions that `make functions`
// built, and an operator's look at its buckets.
type Stack struct {
	*local.Stack
	Cases  *s3store.Bucket
	Photos *s3store.Bucket // the uploads bucket
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

// StartStack starts the stack until the test's end, with its objects in dir and
// further template parameters as NAME=value. Errors that the functions logged are
// shown where the test fails.
func StartStack(t *testing.T, root, dir string, parameters ...string) *Stack {
	t.Helper()
	functions := filepath.Join(root, "build")
	if _, err := os.Stat(filepath.Join(functions, "OnboardFunction", "bootstrap")); err != nil {
		if os.Getenv("AGEQUOTE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v; run make functions", err)
	}
	overrides := map[string]string{"AllowResearchModel": "yes"}
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		overrides[name] = value
	}
	log := new(lockedBuffer)
	stack, err := local.Start(t.Context(), local.Options{
		Template:    filepath.Join(root, "template.yaml"),
		Parameters:  overrides,
		Functions:   functions,
		Dir:         dir,
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
	return &Stack{
		Stack:  stack,
		Cases:  &s3store.Bucket{Client: client, Name: stack.Resource("CasesBucket")},
		Photos: &s3store.Bucket{Client: client, Name: stack.Resource("UploadsBucket")},
	}
}
