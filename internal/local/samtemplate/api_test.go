package samtemplate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local/samtemplate"
)

const apiTemplate = `
Resources:
  Front:
    Type: AWS::Serverless::HttpApi
    Properties:
      DefaultRouteSettings: {ThrottlingRateLimit: 7, ThrottlingBurstLimit: 9}
      CorsConfiguration: {AllowOrigins: ["https://page"], AllowMethods: [GET], AllowHeaders: [x], MaxAge: 5}
  Answer:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {KEY: !Sub "{{resolve:secretsmanager:${Key}}}"}}
      Events:
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Front, Method: get, Path: "/a/{b}"}}
  Key: {Type: AWS::SecretsManager::Secret}
  Files:
    Type: AWS::S3::Bucket
    Properties:
      CorsConfiguration:
        CorsRules:
          - {AllowedOrigins: [!Sub "https://${Front}.execute-api.${AWS::Region}.${AWS::URLSuffix}"], AllowedMethods: [POST], AllowedHeaders: ["*"]}
`

func TestReadAPI(t *testing.T) {
	o := samtemplate.Options{StackName: "s", Region: "r", Account: "000000000000"}
	got, err := samtemplate.Parse([]byte(apiTemplate), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []samtemplate.API{{
		LogicalID: "Front", Name: "s-Front", Endpoint: "https://s-Front.execute-api.r.amazonaws.com", RateLimit: 7, BurstLimit: 9,
		CORS: &samtemplate.CORS{Origins: []string{"https://page"}, Methods: []string{"GET"}, Headers: []string{"x"}, MaxAge: 5},
	}}
	if diff := cmp.Diff(want, got.APIs); diff != "" {
		t.Errorf("APIs (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]samtemplate.HTTPEvent{{API: "Front", Method: "GET", Path: "/a/{b}"}}, got.Functions[0].HTTPEvents); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	// The bucket's rule names the very address that the API has.
	if rule := got.Buckets[0].CORS; len(rule) != 1 || len(rule[0].Origins) != 1 || rule[0].Origins[0] != want[0].Endpoint {
		t.Errorf("the bucket's rule is %+v", rule)
	}
	if key := got.Functions[0].Environment["KEY"]; key != "{{resolve:secretsmanager:s-Key}}" {
		t.Errorf("the secret's reference is %q", key)
	}
	_, err = samtemplate.Parse([]byte(strings.Replace(apiTemplate, "!Ref Front", "!Ref Other", 1)), o)
	if err == nil || !strings.Contains(err.Error(), `"Other"`) {
		t.Errorf("an API that is not there: %v", err)
	}
}
