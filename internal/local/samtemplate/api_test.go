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

const authTemplate = `
Parameters:
  Issuer: {Type: String, Default: ""}
Conditions:
  HasIssuer: !Not [!Equals [!Ref Issuer, ""]]
Resources:
  Front:
    Type: AWS::Serverless::HttpApi
    Condition: HasIssuer
    Properties:
      Auth:
        DefaultAuthorizer: People
        Authorizers:
          People:
            AuthorizationScopes: [review]
            IdentitySource: $request.header.Authorization
            JwtConfiguration: {issuer: !Ref Issuer, audience: [api]}
          Robots:
            JwtConfiguration: {issuer: "https://robots.example", audience: [a, b]}
  Answer:
    Type: AWS::Serverless::Function
    Condition: HasIssuer
    Properties:
      Events:
        Default: {Type: HttpApi, Properties: {ApiId: !Ref Front, Method: GET, Path: "/default"}}
        Open: {Type: HttpApi, Properties: {ApiId: !Ref Front, Method: GET, Path: "/open", Auth: {Authorizer: NONE}}}
        Scopes: {Type: HttpApi, Properties: {ApiId: !Ref Front, Method: GET, Path: "/scopes", Auth: {AuthorizationScopes: [more]}}}
        Robots: {Type: HttpApi, Properties: {ApiId: !Ref Front, Method: GET, Path: "/robots", Auth: {Authorizer: Robots}}}
  Other:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {FRONT: plain}}
`

func TestReadAuth(t *testing.T) {
	o := samtemplate.Options{StackName: "s", Region: "r", Account: "000000000000", Parameters: map[string]string{"Issuer": "https://idp.example"}}
	got, err := samtemplate.Parse([]byte(authTemplate), o)
	if err != nil {
		t.Fatal(err)
	}
	const header = "$request.header.Authorization"
	authorizers := []samtemplate.Authorizer{
		{Name: "People", Issuer: "https://idp.example", Audience: []string{"api"}, Source: header, Scopes: []string{"review"}},
		{Name: "Robots", Issuer: "https://robots.example", Audience: []string{"a", "b"}, Source: header},
	}
	if diff := cmp.Diff(authorizers, got.APIs[0].Authorizers); diff != "" {
		t.Errorf("authorizers (-want +got)\n%s", diff)
	}
	routes := []samtemplate.HTTPEvent{
		{API: "Front", Method: "GET", Path: "/default", Authorizer: "People", Scopes: []string{"review"}},
		{API: "Front", Method: "GET", Path: "/open"},
		{API: "Front", Method: "GET", Path: "/scopes", Authorizer: "People", Scopes: []string{"more"}},
		{API: "Front", Method: "GET", Path: "/robots", Authorizer: "Robots"},
	}
	if diff := cmp.Diff(routes, got.Functions[0].HTTPEvents); diff != "" {
		t.Errorf("routes (-want +got)\n%s", diff)
	}

	o.Parameters = nil
	if got, err = samtemplate.Parse([]byte(authTemplate), o); err != nil || len(got.APIs) != 0 || len(got.Functions) != 1 {
		t.Errorf("without an issuer: %+v, %v", got, err)
	}
}

// TestAuthErrors are templates whose routes would be open, or shut, by mistake.
func TestAuthErrors(t *testing.T) {
	o := samtemplate.Options{StackName: "s", Region: "r", Account: "000000000000", Parameters: map[string]string{"Issuer": "https://idp.example"}}
	tests := []struct{ old, new, want string }{
		{"DefaultAuthorizer: People", "DefaultAuthorizer: Nobody", "no authorizer Nobody"},
		{"Auth: {Authorizer: Robots}", "Auth: {Authorizer: Nobody}", "no authorizer Nobody"},
		{"DefaultAuthorizer: People", "EnableIamAuthorizer: true", "IAM does not run locally"},
		{`JwtConfiguration: {issuer: "https://robots.example", audience: [a, b]}`, "FunctionArn: x", "no JwtConfiguration"},
		{"audience: [api]", "audience: []", "needs an issuer and an audience"},
		{"!Ref Issuer, audience", `"", audience`, "needs an issuer and an audience"},
		{"$request.header.Authorization", "$context.identity", "identity source"},
		{"FRONT: plain", "FRONT: !Ref Front", ""},
	}
	for _, tt := range tests {
		text := strings.Replace(authTemplate, tt.old, tt.new, 1)
		if _, err := samtemplate.Parse([]byte(text), o); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.new, err, tt.want)
		}
	}
	o.Parameters = nil
	text := strings.Replace(authTemplate, "FRONT: plain", "FRONT: !Ref Front", 1)
	if _, err := samtemplate.Parse([]byte(text), o); err == nil || !strings.Contains(err.Error(), "Front is not there, by its Condition") {
		t.Errorf("a reference to what is not there: %v", err)
	}
}
