package s3store_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/store"
)

// TestDamage reads an object that comes damaged once, and one that always does:
// by the checksum, whatever the client is told to check.
func TestDamage(t *testing.T) {
	for _, damaged := range []int{1, 99} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("X-Amz-Checksum-Crc32", "y/Q5Jg==") // of 123456789
			if asked <= damaged {
				fmt.Fprint(w, "123456780")
				return
			}
			fmt.Fprint(w, "123456789")
		}))
		got, err := bucket(server.URL).Get(t.Context(), "key", 1000)
		if damaged == 1 && (err != nil || string(got) != "123456789") || damaged > 1 && (err == nil || asked > 5) {
			t.Errorf("damaged %d times: %q, %v, asked %d times", damaged, got, err, asked)
		}
		server.Close()
	}
}

// TestPages lists two pages of which the second repeats, and turns around.
func TestPages(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		keys, more := []string{"a", "b"}, "<IsTruncated>true</IsTruncated><NextContinuationToken>next</NextContinuationToken>"
		if r.URL.Query().Get("continuation-token") != "" {
			keys, more = []string{"c", "b", "a"}, "<IsTruncated>false</IsTruncated>"
		}
		fmt.Fprint(w, "<ListBucketResult>", more)
		for _, key := range keys {
			fmt.Fprintf(w, "<Contents><Key>%s</Key></Contents>", key)
		}
		fmt.Fprint(w, "</ListBucketResult>")
	}))
	defer server.Close()
	if got, err := bucket(server.URL).List(t.Context(), ""); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("List = %q, %v", got, err)
	}
}

// TestLostAnswer writes an object whose first answer is lost: the SDK's second
// try meets the first one's effect, which is ours. What another wrote is not.
func TestLostAnswer(t *testing.T) {
	for _, tt := range []struct {
		standing string
		want     error
	}{{"", nil}, {"another's", store.ErrExists}} {
		standing := []byte(tt.standing)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodGet:
				_, _ = w.Write(standing)
			case len(standing) > 0:
				w.WriteHeader(http.StatusPreconditionFailed)
			default:
				standing, _ = io.ReadAll(r.Body)
				panic(http.ErrAbortHandler)
			}
		}))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		if err := bucket(server.URL).PutIfAbsent(t.Context(), "key", []byte("ours")); !errors.Is(err, tt.want) {
			t.Errorf("PutIfAbsent where %q stands = %v, want %v", tt.standing, err, tt.want)
		}
		server.Close()
	}
}

// bucket is one of this server, by a client that checks as little as it can.
func bucket(url string) *s3store.Bucket {
	return &s3store.Bucket{Name: "cases", Client: s3.New(s3.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(url), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider("id", "secret", ""),
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})}
}

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
		b := bucket(server.URL)
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
