// Package lambdaclient starts Lambda functions without waiting for them.
package lambdaclient

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Client calls Lambda's API.
type Client struct{ Lambda *lambda.Client }

// InvokeAsync sends an event to a function and does not wait for it.
func (c *Client) InvokeAsync(ctx context.Context, function string, event []byte) error {
	_, err := c.Lambda.Invoke(ctx, &lambda.InvokeInput{
		FunctionName:   &function,
		InvocationType: types.InvocationTypeEvent,
		Payload:        event,
	})
	if err != nil {
		return fmt.Errorf("invoke function: %w", err)
	}
	return nil
}
