package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/lambdaclient"
	"github.com/agequote/agequote/internal/local"
	"github.com/agequote/agequote/internal/local/ownfile"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/store/storetest"
	"github.com/agequote/agequote/internal/underwriting"
)

// chain is a running stack with all that a test asks of it.
type chain struct {
	*local.Stack
	client *s3.Client
	cases  *s3store.Bucket
	log    *lockedBuffer
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

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// startChain runs the project's own template with the functions that
// `make functions` built. Parameters come as NAME=value.
func startChain(t *testing.T, parameters ...string) *chain {
	t.Helper()
	return startChainWith(t, func(*local.Options) {}, parameters...)
}

// startChainWith is startChain with other options of the stack.
func startChainWith(t *testing.T, change func(*local.Options), parameters ...string) *chain {
	t.Helper()
	functions, err := filepath.Abs("../../build")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(functions, "PredictFunction", "bootstrap")); err != nil {
		if os.Getenv("AGEQUOTE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v; run make functions", err)
	}
	overrides := map[string]string{"AllowResearchModel": "yes", "SampleShare": "0"} // a test that wants a sample draws all
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		overrides[name] = value
	}
	c := &chain{log: new(lockedBuffer)}
	options := local.Options{
		Template:    "../../template.yaml",
		Parameters:  overrides,
		Functions:   functions,
		RetryWait:   50 * time.Millisecond,
		FunctionLog: c.log,
	}
	if change(&options); options.Dir == "" {
		options.Dir = t.TempDir()
	}
	c.Stack, err = local.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if c.client, err = s3Client(t.Context(), c.Stack); err != nil {
		t.Fatal(err)
	}
	c.cases = &s3store.Bucket{Client: c.client, Name: c.Resource("CasesBucket")}
	return c
}

var testFacts = underwriting.Facts{
	Sex: "female", HeightCM: 168, WeightKG: 62, Tobacco: "never", SumCents: 25_000_017, TermYears: 20, Market: "US",
}

// upload makes a case and sends its photo as a customer does.
func (c *chain) upload(ctx context.Context, id string, photo []byte) error {
	if err := writeApplication(ctx, c.cases, id, testFacts, time.Now()); err != nil {
		return err
	}
	form, err := presignUpload(ctx, c.client, c.Resource("UploadsBucket"), casefile.UploadKey(id, 1), photo)
	if err != nil {
		return err
	}
	return form.Send(ctx, photo)
}

// settle waits until nothing is on its way.
func (c *chain) settle(t *testing.T, patience time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Idle(ctx); err != nil {
		t.Fatalf("not idle: %v\n%s", err, c.log)
	}
}

// versions returns how many versions each object under prefix has.
func (c *chain) versions(t *testing.T, prefix string) map[string]int {
	t.Helper()
	n := map[string]int{}
	seen := map[[2]string]bool{} // the local S3 repeats the last version of a page on the next
	pages := s3.NewListObjectVersionsPaginator(c.client, &s3.ListObjectVersionsInput{Bucket: &c.cases.Name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			version := [2]string{*v.Key, *v.VersionId}
			if !seen[version] {
				seen[version] = true
				n[*v.Key]++
			}
		}
	}
	return n
}

func readSample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../events/selfies", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// brokenPhotos are five files that no age can be read from, with their codes.
func brokenPhotos(t *testing.T, selfie []byte) map[reason.Code][]byte {
	t.Helper()
	encode := func(img image.Image) []byte {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, nil); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	one, err := jpeg.Decode(bytes.NewReader(selfie))
	if err != nil {
		t.Fatal(err)
	}
	w, h := one.Bounds().Dx(), one.Bounds().Dy()
	two := image.NewRGBA(image.Rect(0, 0, 2*w, h))
	draw.Draw(two, one.Bounds(), one, image.Point{}, draw.Src)
	draw.Draw(two, one.Bounds().Add(image.Pt(w, 0)), one, image.Point{}, draw.Src)

	// The frame header (SOF0) gives height and width after its length and
	// precision.
	huge := bytes.Clone(selfie)
	at := bytes.Index(huge, []byte{0xff, 0xc0, 0, 17, 8}) + 5
	binary.BigEndian.PutUint16(huge[at:], 10_000)
	binary.BigEndian.PutUint16(huge[at+2:], 10_000)

	return map[reason.Code][]byte{
		"not_image":           []byte("this is not a picture"),
		"not_image truncated": selfie[:len(selfie)/2],
		"no_face":             encode(image.NewGray(image.Rect(0, 0, 400, 400))),
		"many_faces":          encode(two),
		"too_large":           huge,
	}
}

// TestChain sends uploads, five of them broken, while predict is killed twice:
// every photo has its estimate or refusal, every estimate its quote, and
// nothing is there twice. AGEQUOTE_UPLOADS=500 is the full size (make soak).
func TestChain(t *testing.T) {
	uploads := 60
	if s := os.Getenv("AGEQUOTE_UPLOADS"); s != "" {
		var err error
		if uploads, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	if testing.Short() {
		uploads = 12
	}
	selfies := [][]byte{asJPEG(t, readSample(t, "astronaut.png")), readSample(t, "grace_hopper.jpg")}
	want := map[string]reason.Code{}
	photos := map[string][]byte{}
	for code, photo := range brokenPhotos(t, selfies[1]) {
		id := casefile.NewID()
		code, _, _ := strings.Cut(string(code), " ")
		want[id], photos[id] = reason.Code(code), photo
	}
	for i := len(photos); i < uploads; i++ {
		id := casefile.NewID()
		want[id], photos[id] = reason.OK, ownfile.Of(selfies[i%len(selfies)], strconv.Itoa(i)) // each customer has a file of his own
	}

	c := startChain(t)
	started := time.Now()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	for id, photo := range photos {
		g.Go(func() error { return c.upload(ctx, id, photo) })
	}
	killed := 0
	for range 2 {
		// An instance at work dies, not merely one that has yet to start.
		deadline := time.Now().Add(10 * time.Second)
		for n := 0; n == 0 && time.Now().Before(deadline); {
			time.Sleep(200 * time.Millisecond)
			n = c.KillFunction("PredictFunction")
			killed += n
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	c.settle(t, 5*time.Minute)
	t.Logf("%d uploads settled in %v, %d instances of predict killed", uploads, time.Since(started).Round(time.Millisecond), killed)
	if killed == 0 {
		t.Error("nothing was killed")
	}

	quotes, refusals := 0, 0
	for id, code := range want {
		estimate, err := cases.Read[casefile.Estimate](t.Context(), c.cases, casefile.EstimateKey(id, 1))
		if err != nil {
			t.Errorf("estimate of a photo that is %s: %v", code, err)
			continue
		}
		if estimate.Object.Code != code {
			t.Errorf("code %s, want %s", estimate.Object.Code, code)
		}
		quote, err := cases.Read[casefile.Quote](t.Context(), c.cases, casefile.QuoteKey(id, casefile.PhotoCause(1)))
		if code != reason.OK {
			refusals++
			if err == nil {
				t.Errorf("a photo refused as %s has a quote", code)
			}
			continue
		}
		if err != nil {
			t.Errorf("quote: %v", err)
			continue
		}
		quotes++
		if d := quote.Object.Decision; d != underwriting.Quote && d != underwriting.Refer {
			t.Errorf("decision %s", d)
		}
		if quote.Object.Hashes.Estimate != estimate.Hash || quote.Object.Hashes.Photo != estimate.Object.Photo {
			t.Error("the quote names another estimate or photo than its own")
		}
	}
	if quotes != uploads-5 || refusals != 5 {
		t.Errorf("%d quotes and %d refusals of %d uploads", quotes, refusals, uploads)
	}
	objects := 0
	for key, n := range c.versions(t, "cases/") {
		objects++
		if n != 1 {
			t.Errorf("%s was written %d times", key, n)
		}
	}
	if wanted := uploads + uploads + quotes; objects != wanted {
		t.Errorf("%d objects, want %d: an application and an estimate each, and %d quotes", objects, wanted, quotes)
	}
	c.noPersonalData(t, want)
}

// noPersonalData greps what the functions printed for what was sent.
func (c *chain) noPersonalData(t *testing.T, ids map[string]reason.Code) {
	t.Helper()
	log := c.log.String()
	if !strings.Contains(log, `"code":"ok"`) && !strings.Contains(log, "code=ok") {
		t.Error("the log does not tell outcomes")
	}
	for id := range ids {
		if strings.Contains(log, id) {
			t.Fatal("the log names a case")
		}
	}
	for _, fact := range []string{"25000017", "uploads/", "distribution"} {
		if strings.Contains(log, fact) {
			t.Errorf("the log holds %q", fact)
		}
	}
}

// TestChainOnce delivers one photo's event 40 times at once.
func TestChainOnce(t *testing.T) {
	photo := readSample(t, "grace_hopper.jpg")
	c := startChain(t)
	id := casefile.NewID()
	if err := c.upload(t.Context(), id, photo); err != nil {
		t.Fatal(err)
	}
	event, err := json.Marshal(photoEvent(casefile.Source{Bucket: c.Resource("UploadsBucket"), Key: casefile.UploadKey(id, 1)}))
	if err != nil {
		t.Fatal(err)
	}
	lambda := c.lambda()
	var g errgroup.Group
	for range 40 {
		g.Go(func() error { return lambda.InvokeAsync(t.Context(), c.Resource("PredictFunction"), event) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	got := c.versions(t, "cases/"+id+"/")
	for _, key := range []string{casefile.EstimateKey(id, 1), casefile.QuoteKey(id, "photo-0001")} {
		if got[key] != 1 {
			t.Errorf("%s was written %d times, want once", key, got[key])
		}
	}
}

func (c *chain) lambda() *lambdaclient.Client {
	operator := c.Admin()
	endpoint := c.LambdaEndpoint()
	return &lambdaclient.Client{Lambda: awslambda.New(awslambda.Options{
		Region: c.Region(), BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(operator.AccessKeyID, operator.SecretAccessKey, ""),
	})}
}

// TestChainRedrive has an application that cannot be read: predict gives up, and
// the case goes to a person. A redrive before the cause is mended brings it back
// to the queue, one after that finishes it.
func TestChainRedrive(t *testing.T) {
	photo := readSample(t, "grace_hopper.jpg")
	c := startChainWith(t, func(o *local.Options) {
		o.RetryWait = 500 * time.Millisecond // as on AWS, a redrive is over before what it sent gives up again
	})
	ctx := t.Context()
	id := casefile.NewID()
	if err := c.cases.PutIfAbsent(ctx, casefile.ApplicationKey(id, 1), []byte("{broken")); err != nil {
		t.Fatal(err)
	}
	form, err := presignUpload(ctx, c.client, c.Resource("UploadsBucket"), casefile.UploadKey(id, 1), photo)
	if err != nil {
		t.Fatal(err)
	}
	if err := form.Send(ctx, photo); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)

	failure, err := cases.Read[casefile.Failure](ctx, c.cases, casefile.FailureKey(id, casefile.PhotoCause(1)))
	if err != nil {
		t.Fatalf("no failure object: %v\n%s", err, c.log)
	}
	if failure.Object.Stage != "predict" || failure.Object.Condition != "RetriesExhausted" || failure.Object.Tries != 3 {
		t.Errorf("failure %+v, want predict's after 3 tries", failure.Object)
	}
	keys, err := c.cases.List(ctx, "queue/")
	if err != nil || len(keys) != 2 {
		t.Fatalf("queue markers %q, %v, want one in each order", keys, err)
	}
	r := redriver{cases: c.cases}
	for _, queued := range []bool{true, false} { // a failure whose markers were never written is found by --lost
		if lost, err := r.isLost(ctx, id, 1, queued); err != nil || lost == queued {
			t.Errorf("a failure, in the queue %v: lost %v, %v", queued, lost, err)
		}
	}

	for _, line := range c.Env() {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	redrive := func() {
		t.Helper()
		var out bytes.Buffer
		e := &env{stdout: &out, stderr: io.Discard, getenv: os.Getenv, now: time.Now}
		err := run(ctx, e, []string{"redrive", "--json", "--cases-bucket", c.cases.Name,
			"--predict-function", c.Resource("PredictFunction"), "--quote-function", c.Resource("QuoteFunction")})
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"schema":1,"case":%q,"stage":"predict","sent":true}`, id); strings.TrimSpace(out.String()) != want {
			t.Errorf("redrive printed %s, want %s", out.String(), want)
		}
	}
	redrive()
	if left, err := c.cases.List(ctx, "queue/"); err != nil || len(left) != 0 {
		t.Errorf("queue markers while it is tried again: %q, %v", left, err)
	}
	c.settle(t, time.Minute)
	if again, err := c.cases.List(ctx, "queue/"); err != nil || !slices.Equal(again, keys) {
		t.Errorf("queue markers after it failed again: %q, %v, want %q", again, err, keys)
	}

	terms, err := consent.Current(demoDays)
	if err != nil {
		t.Fatal(err)
	}
	mended, err := cases.Encode(casefile.Application{Schema: 1, Case: id, N: 2, Facts: testFacts, Consent: terms.Record(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cases.PutIfAbsent(ctx, casefile.ApplicationKey(id, 2), mended); err != nil {
		t.Fatal(err)
	}
	redrive()
	c.settle(t, time.Minute)
	if _, err := cases.Read[casefile.Quote](ctx, c.cases, casefile.QuoteKey(id, casefile.PhotoCause(1))); err != nil {
		t.Errorf("quote after redrive: %v\n%s", err, c.log)
	}
	if keys, err := c.cases.List(ctx, "queue/waiting/failed/"); err != nil || len(keys) != 0 {
		t.Errorf("queue markers after redrive: %q, %v", keys, err)
	}
}

// TestChainEarly has quote told of an estimate that is not there yet: it gives
// up, and the case waits for a person. The photo comes after all, and a redrive,
// which knows where it is, does nothing twice and ends the wait.
func TestChainEarly(t *testing.T) {
	photo := readSample(t, "grace_hopper.jpg")
	c := startChain(t)
	ctx := t.Context()
	id := casefile.NewID()
	source := casefile.Source{Bucket: c.Resource("UploadsBucket"), Key: casefile.UploadKey(id, 1)}
	early, err := json.Marshal(casefile.Answer{Schema: 1, Results: []casefile.Result{{Schema: 1, Case: id, N: 1, Code: reason.OK, Source: source}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := writeApplication(ctx, c.cases, id, testFacts, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := c.lambda().InvokeAsync(ctx, c.Resource("QuoteFunction"), early); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	f, err := cases.Read[casefile.Failure](ctx, c.cases, casefile.FailureKey(id, casefile.PhotoCause(1)))
	if err != nil || f.Object.Stage != "quote" || f.Object.Source != source {
		t.Fatalf("failure %+v, %v\n%s", f.Object, err, c.log)
	}
	if _, err := c.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &source.Bucket, Key: &source.Key, Body: bytes.NewReader(photo)}); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	r := redriver{env: &env{stdout: io.Discard, stderr: io.Discard}, cases: c.cases, lambda: c.lambda(), predict: c.Resource("PredictFunction"), quote: c.Resource("QuoteFunction")}
	if err := r.run(ctx); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	got := c.versions(t, "cases/"+id+"/")
	for _, key := range []string{casefile.EstimateKey(id, 1), casefile.QuoteKey(id, "photo-0001")} {
		if got[key] != 1 {
			t.Errorf("%s was written %d times, want once\n%s", key, got[key], c.log)
		}
	}
	if left, err := c.cases.List(ctx, "queue/waiting/failed/"); err != nil || len(left) > 0 {
		t.Errorf("markers left: %q, %v", left, err)
	}
}

// TestBucketConforms runs the stores' suite on S3 as the functions use it.
func TestBucketConforms(t *testing.T) {
	c := startChain(t)
	storetest.Conformance(t, c.cases)
}
