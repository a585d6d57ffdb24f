package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3event"
)

// eventSender takes the server's own account of what happened. The server's
// webhook would do the same through a connection each, with a time limit after
// which the event is lost, without the version, and without the key of a
// presigned POST. Here the call is made while the request is still open, so no
// answer overtakes its event and none is dropped.
type eventSender struct {
	created  func(events.S3Event)
	now      func() time.Time
	region   string
	store    *posix.Posix
	log      *slog.Logger
	sequence atomic.Uint64
}

var _ s3event.S3EventSender = (*eventSender)(nil)

// Close has nothing to close.
func (s *eventSender) Close() error { return nil }

// SendEvent passes on the creation of an object, in the shape in which S3 tells
// it. See https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
func (s *eventSender) SendEvent(ctx fiber.Ctx, m s3event.EventMeta) {
	name := strings.TrimPrefix(string(m.EventName), "s3:")
	if s.created == nil || !strings.HasPrefix(name, "ObjectCreated:") {
		return
	}
	bucket, key := objectOf(ctx)
	size := m.ObjectSize
	if m.EventName == s3event.EventCompleteMultipartUpload {
		size = s.size(ctx, bucket, key)
	}
	access := ""
	if account, ok := utils.ContextKeyAccount.Get(ctx).(auth.Account); ok {
		access = account.Access
	}
	etag := ""
	if m.ObjectETag != nil {
		etag = strings.Trim(*m.ObjectETag, `"`)
	}
	requestID, hostID := utils.EnsureRequestIDs(ctx)

	s.created(events.S3Event{Records: []events.S3EventRecord{{
		EventVersion:      "2.1",
		EventSource:       "aws:s3",
		AWSRegion:         s.region,
		EventTime:         s.now().UTC(),
		EventName:         name,
		PrincipalID:       events.S3UserIdentity{PrincipalID: access},
		RequestParameters: events.S3RequestParameters{SourceIPAddress: ctx.IP()},
		ResponseElements:  map[string]string{"x-amz-request-id": requestID, "x-amz-id-2": hostID},
		S3: events.S3Entity{
			SchemaVersion: "1.0",
			Bucket: events.S3Bucket{
				Name:          bucket,
				OwnerIdentity: events.S3UserIdentity{PrincipalID: m.BucketOwner},
				Arn:           "arn:aws:s3:::" + bucket,
			},
			Object: events.S3Object{
				Key:           encodeKey(key),
				URLDecodedKey: key,
				Size:          size,
				// The server names the version in its answer only.
				VersionID: string(ctx.Response().Header.Peek("x-amz-version-id")),
				ETag:      etag,
				Sequencer: fmt.Sprintf("%016X", s.sequence.Add(1)),
			},
		},
	}}})
}

// objectOf returns the object that a request made. The strings are copied: the
// server uses the memory of a request again for the next.
func objectOf(ctx fiber.Ctx) (bucket, key string) {
	path := strings.TrimPrefix(strings.Clone(ctx.Path()), "/")
	bucket, key, _ = strings.Cut(path, "/")
	if post, ok := utils.ContextKeyObjectPostResult.Get(ctx).(middlewares.PostObjectResult); ok {
		key = strings.Clone(post.Fields["key"]) // a POST goes to the bucket; its form has the key
	}
	return bucket, key
}

// size returns an object's size, which the end of a multipart upload does not
// tell.
func (s *eventSender) size(ctx context.Context, bucket, key string) int64 {
	head, err := s.store.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil || head.ContentLength == nil {
		s.log.Warn("size of uploaded object is not known", "bucket", bucket, "err", err)
		return 0
	}
	return *head.ContentLength
}

// encodeKey encodes a key as S3 does in events: as in a form, slashes kept.
func encodeKey(key string) string {
	return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
}
