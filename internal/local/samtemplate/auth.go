package samtemplate

import "strings"

// noAuthorizer is what a route says that anybody may use, although its API has
// a default authorizer.
const noAuthorizer = "NONE"

// authorizers reads the Auth of an HTTP API.
func (r *resolver) authorizers(auth node) ([]Authorizer, error) {
	v, err := r.resolve(auth)
	if err != nil {
		return nil, err
	}
	if iam := v.get("EnableIamAuthorizer"); iam.kind != absent && iam.text != "false" {
		return nil, errorAt(iam.line, "authorizing by IAM does not run locally")
	}
	var out []Authorizer
	all := v.get("Authorizers")
	for _, name := range all.keys {
		a, err := readAuthorizer(name, all.fields[name])
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	if name := v.get("DefaultAuthorizer"); name.kind != absent {
		if _, ok := all.fields[name.text]; !ok {
			return nil, errorAt(name.line, "there is no authorizer %s", name.text)
		}
	}
	return out, nil
}

func readAuthorizer(name string, v value) (Authorizer, error) {
	a := Authorizer{Name: name}
	jwt := v.get("JwtConfiguration")
	if jwt.kind == absent {
		return Authorizer{}, errorAt(v.line, "authorizer %s has no JwtConfiguration, and others do not run locally", name)
	}
	var err error
	if a.Issuer, err = jwt.get("issuer").str(); err != nil {
		return Authorizer{}, err
	}
	if a.Audience, err = jwt.get("audience").strs(); err != nil {
		return Authorizer{}, err
	}
	if a.Issuer == "" || len(a.Audience) == 0 || a.Audience[0] == "" {
		return Authorizer{}, errorAt(jwt.line, "authorizer %s needs an issuer and an audience", name)
	}
	source := v.get("IdentitySource")
	if a.Source, err = source.str(); err != nil {
		return Authorizer{}, err
	}
	if a.Source == "" {
		a.Source = "$request.header.Authorization"
	}
	if !strings.HasPrefix(a.Source, "$request.header.") && !strings.HasPrefix(a.Source, "$request.querystring.") {
		return Authorizer{}, errorAt(source.line, "an identity source is a header or in the query string")
	}
	a.Scopes, err = v.get("AuthorizationScopes").strs()
	return a, err
}

// letIn sets who may use a route: whom its own Auth says, else whom its API's
// default authorizer lets in. Scopes of the route stand in for those of the
// authorizer.
func (r *resolver) letIn(e *HTTPEvent, line int, auth value) error {
	api, err := r.resolve(r.resources[e.API].fields["Properties"].fields["Auth"])
	if err != nil {
		return err
	}
	name := auth.get("Authorizer").text
	if name == "" {
		name = api.get("DefaultAuthorizer").text
	}
	if name == "" || name == noAuthorizer {
		return nil
	}
	all, err := r.authorizers(r.resources[e.API].fields["Properties"].fields["Auth"])
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Name != name {
			continue
		}
		e.Authorizer, e.Scopes = name, a.Scopes
		if own := auth.get("AuthorizationScopes"); own.kind != absent {
			e.Scopes, err = own.strs()
		}
		return err
	}
	return errorAt(line, "there is no authorizer %s", name)
}
