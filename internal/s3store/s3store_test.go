package s3store_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/s3store"
)

// TestClock reads from a server whose clock is another: an instance that is a
// day off may not read a case, on which it would act.
func TestClock(t *testing.T) {
	for _, tt := range []struct {
		off  time.Duration
		want error
	}{{0, nil}, {-4 * time.Minute, nil}, {24 * time.Hour, s3store.ErrClock}, {-24 * time.Hour, s3store.ErrClock}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(tt.off).UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprint(w, `<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`)
		}))
		b := &s3store.Bucket{Name: "cases", Client: s3.New(s3.Options{
			Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), UsePathStyle: true,
			Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		})}
		_, err := b.List(t.Context(), "cases/")
		if !errors.Is(err, tt.want) {
			t.Errorf("List on a clock %v off = %v, want %v", tt.off, err, tt.want)
		}
		if _, err := b.Get(t.Context(), "cases/x", 1000); !errors.Is(err, tt.want) {
			t.Errorf("Get on a clock %v off = %v, want %v", tt.off, err, tt.want)
		}
		server.Close()
	}
}
