package onboard

import (
	"context"
	"net/http"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/upload"
)

// maxPhotos bounds how often a customer may send a photo.
const maxPhotos = 20

// form is a presigned POST for the n-th photo.
type form struct {
	N       int               `json:"n"`
	URL     string            `json:"url"`
	Fields  map[string]string `json:"fields"`
	Expires time.Time         `json:"expires"`
}

// photo gives a form for the next photo. Its policy fixes the name, the type
// and the very size.
func (h *Handler) photo(ctx context.Context, r *request) (answer, error) {
	var file struct {
		Type string `json:"type"`
		Size int64  `json:"size"`
	}
	if err := fieldNames.Decode(r.body, &file); err != nil {
		return answer{}, err
	}
	v, err := h.look(ctx, r.id)
	if err != nil {
		return answer{}, err
	}
	if consent.Check(v.application.Consent, h.Now()) != nil {
		return answer{}, openapi.Conflict("no_consent", "Please agree first that the photo is read.")
	}
	n := v.nextPhoto()
	if n > maxPhotos {
		return answer{}, openapi.Conflict("limit", "Too many photos were sent. Please state your date of birth, or ask for a person.")
	}
	f, err := h.Uploads.Presign(ctx, upload.Request{
		Key: casefile.UploadKey(r.id, n), Type: file.Type, MinSize: file.Size, MaxSize: file.Size,
	})
	if err != nil {
		return answer{}, err
	}
	return answer{Status: http.StatusCreated, Body: form{n, f.URL, f.Fields, f.Expires}}, nil
}
