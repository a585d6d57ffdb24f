package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/face"
)

// uploadForm is a presigned POST: whoever holds it can upload one file of one
// type under one key, for a short time.
type uploadForm struct {
	url    string
	fields map[string]string
}

// uploadLife is how long a form is good for.
const uploadLife = 5 * time.Minute

// presignUpload makes the form. Its policy fixes key, type, size and life.
func presignUpload(ctx context.Context, client *s3.Client, bucket, key, contentType string) (uploadForm, error) {
	out, err := s3.NewPresignClient(client).PresignPostObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key},
		func(o *s3.PresignPostOptions) {
			o.Expires = uploadLife
			o.Conditions = []any{
				[]any{"content-length-range", 1, face.DefaultLimits.Bytes},
				map[string]string{"Content-Type": contentType},
			}
		})
	if err != nil {
		return uploadForm{}, fmt.Errorf("presign upload: %w", err)
	}
	out.Values["Content-Type"] = contentType
	return uploadForm{url: out.URL, fields: out.Values}, nil
}

// send uploads the file as a browser does.
func (f uploadForm) send(ctx context.Context, file []byte) error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range f.fields {
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

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, &body)
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
		return fmt.Errorf("upload photo: S3 answered %s: %s", response.Status, text)
	}
	return nil
}
