package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestStackFlag has the commands that read stored cases find a deployed stack's
// buckets: cases and audit are asked for the case, and nothing is named but the
// stack.
func TestStackFlag(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		if r.Method == http.MethodPost { // STS
			fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:user/ann</Arn>`+
				`<Account>000000000000</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Path)
		fmt.Fprint(w, `<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`)
	}))
	defer aws.Close()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": aws.URL, "AWS_REGION": "eu-central-1",
		"AWS_ACCESS_KEY_ID": "ann", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "/nowhere"} {
		t.Setenv(name, value)
	}
	status, _, stderr := call(t, "audit", "0123456789abcdef", "--stack", "quotes")
	if status != 1 || !strings.Contains(stderr, "no such case") {
		t.Errorf("status %d, %s", status, stderr)
	}
	for _, kind := range []string{"cases", "audit"} {
		if paths := strings.Join(asked, " "); !strings.Contains(paths, "/quotes-"+kind+"-000000000000-eu-central-1") {
			t.Errorf("the bucket of %s is not asked: %s", kind, paths)
		}
	}
}
