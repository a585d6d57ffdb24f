// Package upload makes presigned POSTs, by which one who has no account of AWS
// puts one file under one name into a bucket, and sends a file by one. It also
// makes presigned addresses by which one file is read.
package upload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Life is how long a form is good for.
const Life = 10 * time.Minute

// Request says what a form allows.
type Request struct {
	Key     string
	Type    string // media type
	MinSize int64  // bytes, inclusive
	MaxSize int64
	Life    time.Duration // 0: Life
}

// Form is a presigned POST. Whoever holds it can upload files of one type and a
// range of sizes under one key, for a short time.
type Form struct {
	URL     string
	Fields  map[string]string // sent before the file
	Expires time.Time
}

// Presigner makes forms for one bucket, in the name of its client's role.
type Presigner struct {
	Client *s3.Client
	Bucket string
	Now    func() time.Time
}

// Presign makes a form. Its policy fixes key, type, size and life.
func (p *Presigner) Presign(ctx context.Context, r Request) (Form, error) {
	life := r.Life
	if life == 0 {
		life = Life
	}
	expires := p.Now().Add(life).UTC()
	out, err := s3.NewPresignClient(p.Client).PresignPostObject(ctx, &s3.PutObjectInput{Bucket: &p.Bucket, Key: &r.Key},
		func(o *s3.PresignPostOptions) {
			o.Expires = life
			o.Conditions = []any{
				[]any{"content-length-range", r.MinSize, r.MaxSize},
				map[string]string{"Content-Type": r.Type},
			}
		})
	if err != nil {
		return Form{}, fmt.Errorf("presign upload: %w", err)
	}
	out.Values["Content-Type"] = r.Type
	return Form{URL: out.URL, Fields: out.Values, Expires: expires}, nil
}

// View returns an address by which one version of an object can be read for a
// short time, by whoever has it; an empty version is the latest.
func (p *Presigner) View(ctx context.Context, key, version string, life time.Duration) (address string, expires time.Time, err error) {
	in := &s3.GetObjectInput{Bucket: &p.Bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	in.ResponseCacheControl = aws.String("no-store")
	expires = p.Now().Add(life).UTC()
	out, err := s3.NewPresignClient(p.Client).PresignGetObject(ctx, in, s3.WithPresignExpires(life))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("presign reading: %w", err)
	}
	return out.URL, expires, nil
}

// Origin returns scheme and host of the bucket's forms, which a page's security
// policy must name.
func (p *Presigner) Origin(ctx context.Context) (string, error) {
	form, err := p.Presign(ctx, Request{Key: "origin", Type: "text/plain", MaxSize: 1, Life: time.Second})
	if err != nil {
		return "", err
	}
	u, err := url.Parse(form.URL)
	if err != nil {
		return "", fmt.Errorf("parse address of the bucket: %w", err)
	}
	return u.Scheme + "://" + u.Host, nil
}

// Refused is S3's answer to a form that does not allow what was sent.
type Refused struct {
	Status int
	Text   string
}

func (r *Refused) Error() string { return fmt.Sprintf("S3 answered %d: %s", r.Status, r.Text) }

// Send uploads a file as a browser does: *Refused.
func (f Form) Send(ctx context.Context, file []byte) error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range f.Fields {
		if err := w.WriteField(name, value); err != nil {
			return fmt.Errorf("fill upload form: %w", err)
		}
	}
	part, err := w.CreateFormFile("file", "photo") // S3 wants the file last
	if err != nil {
		return fmt.Errorf("fill upload form: %w", err)
	}
	if _, err := part.Write(file); err != nil {
		return fmt.Errorf("fill upload form: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("fill upload form: %w", err)
	}

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL, &body)
	if err != nil {
		return fmt.Errorf("make upload request: %w", err)
	}
	request.Header.Set("Content-Type", w.FormDataContentType())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("upload photo: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("upload photo: %w", &Refused{response.StatusCode, string(text)})
	}
	return nil
}
