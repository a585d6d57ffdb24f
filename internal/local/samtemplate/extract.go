package samtemplate

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Lambda's defaults where a template says nothing, as its documentation of
// AWS::Serverless::Function and of asynchronous invocation states them.
const (
	defaultMemoryMB        = 128
	defaultTimeoutSeconds  = 3
	defaultRetries         = 2
	defaultEventAgeSeconds = 6 * 60 * 60
)

// Parse reads a template. Errors name the line.
func Parse(data []byte, o Options) (*Template, error) {
	root, err := parseYAML(data)
	if err != nil {
		return nil, err
	}
	r := &resolver{
		options:    o,
		conditions: root.fields["Conditions"].fields,
		resources:  root.fields["Resources"].fields,
		busy:       map[string]bool{},
	}
	if len(r.resources) == 0 {
		return nil, errorAt(root.line, "the template has no Resources")
	}
	if r.parameters, err = parameters(root.fields["Parameters"], o.Parameters); err != nil {
		return nil, err
	}
	globals := root.fields["Globals"].fields["Function"]

	t := &Template{}
	for _, id := range root.fields["Resources"].keys {
		res := r.resources[id]
		exists, err := r.exists(res)
		if err != nil {
			return nil, err
		}
		if !exists {
			continue
		}
		switch res.fields["Type"].text {
		case typeBucket:
			b, err := r.bucket(id, res)
			if err != nil {
				return nil, err
			}
			t.Buckets = append(t.Buckets, b)
		case typeFunction:
			f, err := r.function(id, res, globals)
			if err != nil {
				return nil, err
			}
			t.Functions = append(t.Functions, f)
		case typeAPI:
			a, err := r.api(id, res)
			if err != nil {
				return nil, err
			}
			t.APIs = append(t.APIs, a)
		case typeMachine:
			m, err := r.machine(id, res)
			if err != nil {
				return nil, err
			}
			t.Machines = append(t.Machines, m)
		}
	}
	return t, r.checkReferences(t)
}

// parameters returns each parameter's value: the override, else the default.
func parameters(declared node, overrides map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range declared.keys {
		p := declared.fields[name]
		text, given := overrides[name]
		if !given {
			fallback, ok := p.fields["Default"]
			if !ok {
				return nil, errorAt(p.line, "parameter %s has no default: give it a value", name)
			}
			text = fallback.text
		}
		allowed := p.fields["AllowedValues"].list
		if len(allowed) > 0 && !slices.ContainsFunc(allowed, func(n node) bool { return n.text == text }) {
			return nil, errorAt(p.line, "parameter %s does not allow %q", name, text)
		}
		out[name] = text
	}
	unknown := []string{}
	for name := range overrides {
		if _, ok := out[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return nil, errorAt(declared.line, "the template has no parameter %s", strings.Join(unknown, ", "))
	}
	return out, nil
}

// exists tells whether a resource's condition holds.
func (r *resolver) exists(res node) (bool, error) {
	c, ok := res.fields["Condition"]
	if !ok {
		return true, nil
	}
	return r.named(c.line, c.text)
}

func (r *resolver) bucket(id string, res node) (Bucket, error) {
	name, err := r.physicalName(res.line, id)
	if err != nil {
		return Bucket{}, err
	}
	versioning, err := r.resolve(res.fields["Properties"].fields["VersioningConfiguration"])
	if err != nil {
		return Bucket{}, err
	}
	b := Bucket{
		LogicalID: id,
		Name:      name,
		ARN:       bucketARN(name),
		Versioned: versioning.get("Status").text == "Enabled",
	}
	lock, err := r.resolve(res.fields["Properties"].fields["ObjectLockConfiguration"])
	if err != nil {
		return Bucket{}, err
	}
	if retention := lock.get("Rule").get("DefaultRetention"); retention.kind != absent {
		days, err := retention.get("Days").integer(0)
		if err != nil {
			return Bucket{}, err
		}
		b.Lock = &Lock{Mode: retention.get("Mode").text, Days: days}
	}
	cors, err := r.resolve(res.fields["Properties"].fields["CorsConfiguration"])
	if err != nil {
		return Bucket{}, err
	}
	for _, rule := range cors.get("CorsRules").items() {
		c, err := readCORS(rule, "AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposedHeaders")
		if err != nil {
			return Bucket{}, err
		}
		b.CORS = append(b.CORS, c)
	}
	lifecycle, err := r.resolve(res.fields["Properties"].fields["LifecycleConfiguration"])
	if err != nil {
		return Bucket{}, err
	}
	return b, b.readLifecycle(lifecycle)
}

// readLifecycle reads the rules that are in force and not for some objects
// alone.
func (b *Bucket) readLifecycle(v value) error {
	for _, rule := range v.get("Rules").items() {
		some := rule.get("Prefix").kind != absent || rule.get("TagFilters").kind != absent
		if some || rule.get("Status").text != "Enabled" {
			continue
		}
		days, err := rule.get("ExpirationInDays").integer(0)
		if err != nil {
			return err
		}
		noncurrent, err := rule.get("NoncurrentVersionExpiration", "NoncurrentDays").integer(0)
		if err != nil {
			return err
		}
		b.ExpirationDays, b.NoncurrentDays = max(b.ExpirationDays, days), max(b.NoncurrentDays, noncurrent)
	}
	return nil
}

// readCORS reads a rule under the names that a service gives its parts.
func readCORS(v value, origins, methods, headers, expose string) (CORS, error) {
	var c CORS
	for name, into := range map[string]*[]string{origins: &c.Origins, methods: &c.Methods, headers: &c.Headers, expose: &c.Expose} {
		var err error
		if *into, err = v.get(name).strs(); err != nil {
			return CORS{}, err
		}
	}
	var err error
	c.MaxAge, err = v.get("MaxAge").integer(0)
	return c, err
}

func (r *resolver) api(id string, res node) (API, error) {
	name, err := r.physicalName(res.line, id)
	if err != nil {
		return API{}, err
	}
	a := API{LogicalID: id, Name: name, Endpoint: fmt.Sprintf("https://%s.execute-api.%s.amazonaws.com", name, r.options.Region)}
	own := res.fields["Properties"].fields
	settings, err := r.resolve(own["DefaultRouteSettings"])
	if err != nil {
		return API{}, err
	}
	rate, err := settings.get("ThrottlingRateLimit").integer(0)
	if err != nil {
		return API{}, err
	}
	a.RateLimit = float64(rate)
	if a.BurstLimit, err = settings.get("ThrottlingBurstLimit").integer(0); err != nil {
		return API{}, err
	}
	if a.Authorizers, err = r.authorizers(own["Auth"]); err != nil {
		return API{}, err
	}
	cors, err := r.resolve(own["CorsConfiguration"])
	if err != nil || cors.kind == absent {
		return a, err
	}
	c, err := readCORS(cors, "AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders")
	a.CORS = &c
	return a, err
}

func (r *resolver) machine(id string, res node) (StateMachine, error) {
	name, err := r.physicalName(res.line, id)
	if err != nil {
		return StateMachine{}, err
	}
	m := StateMachine{LogicalID: id, Name: name, Substitutions: map[string]string{}}
	p := properties{resolver: r, own: res.fields["Properties"]}
	uri, err := p.value("DefinitionUri")
	if err != nil {
		return StateMachine{}, err
	}
	if m.Definition = uri.text; m.Definition == "" {
		return StateMachine{}, errorAt(res.line, "%s: want a DefinitionUri that is a path", id)
	}
	texts, err := p.value("DefinitionSubstitutions")
	if err != nil {
		return StateMachine{}, err
	}
	for key, field := range texts.fields {
		if m.Substitutions[key], err = field.str(); err != nil {
			return StateMachine{}, err
		}
	}
	m.Statements, err = p.statements()
	return m, err
}

// properties are a function's own and those it takes over from Globals.
type properties struct {
	*resolver
	own, globals node
}

// value resolves one property. A property that neither names is absent.
func (p properties) value(name string) (value, error) {
	var merged value
	for _, n := range []node{p.globals, p.own} {
		field, ok := n.fields[name]
		if !ok {
			continue
		}
		v, err := p.resolve(field)
		if err != nil {
			return value{}, err
		}
		merged = merge(merged, v)
	}
	return merged, nil
}

func (p properties) integer(name string, fallback int) (int, error) {
	v, err := p.value(name)
	if err != nil {
		return 0, err
	}
	return v.integer(fallback)
}

func (r *resolver) function(id string, res, globals node) (Function, error) {
	name, err := r.physicalName(res.line, id)
	if err != nil {
		return Function{}, err
	}
	f := Function{LogicalID: id, Name: name, ARN: r.functionARN(name)}
	p := properties{resolver: r, own: res.fields["Properties"], globals: globals}

	if f.MemoryMB, err = p.integer("MemorySize", defaultMemoryMB); err != nil {
		return Function{}, err
	}
	seconds, err := p.integer("Timeout", defaultTimeoutSeconds)
	if err != nil {
		return Function{}, err
	}
	f.Timeout = time.Duration(seconds) * time.Second
	if f.Reserved, err = p.reserved(); err != nil {
		return Function{}, err
	}
	if f.Environment, err = p.environment(); err != nil {
		return Function{}, err
	}
	if err := p.asynchronous(&f); err != nil {
		return Function{}, err
	}
	if f.S3Events, err = p.s3Events(); err != nil {
		return Function{}, err
	}
	if f.HTTPEvents, err = p.httpEvents(); err != nil {
		return Function{}, err
	}
	if f.Statements, err = p.statements(); err != nil {
		return Function{}, err
	}
	for _, d := range []*Destination{f.OnSuccess, f.OnFailure} {
		f.Statements = append(f.Statements, d.statements()...)
	}
	return f, nil
}

// statements returns what SAM adds to a function's role so that Lambda may use
// the destination in its name.
func (d *Destination) statements() []Statement {
	switch {
	case d == nil:
		return nil
	case d.Type == ToLambda:
		return []Statement{{Effect: "Allow", Actions: []string{"lambda:InvokeFunction"}, Resources: []string{d.ARN}}}
	}
	return []Statement{
		{Effect: "Allow", Actions: []string{"s3:PutObject"}, Resources: []string{d.ARN + "/*"}},
		{Effect: "Allow", Actions: []string{"s3:ListBucket"}, Resources: []string{d.ARN}},
	}
}

func (p properties) reserved() (*int, error) {
	v, err := p.value("ReservedConcurrentExecutions")
	if err != nil || v.kind == absent {
		return nil, err
	}
	n, err := v.integer(0)
	return &n, err
}

func (p properties) environment() (map[string]string, error) {
	v, err := p.value("Environment")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for key, field := range v.get("Variables").fields {
		if out[key], err = field.str(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// asynchronous reads EventInvokeConfig.
func (p properties) asynchronous(f *Function) error {
	v, err := p.value("EventInvokeConfig")
	if err != nil {
		return err
	}
	if f.Retries, err = v.get("MaximumRetryAttempts").integer(defaultRetries); err != nil {
		return err
	}
	seconds, err := v.get("MaximumEventAgeInSeconds").integer(defaultEventAgeSeconds)
	if err != nil {
		return err
	}
	f.MaxEventAge = time.Duration(seconds) * time.Second
	if f.OnSuccess, err = destination(v.get("DestinationConfig", "OnSuccess")); err != nil {
		return err
	}
	f.OnFailure, err = destination(v.get("DestinationConfig", "OnFailure"))
	return err
}

func destination(v value) (*Destination, error) {
	if v.kind == absent {
		return nil, nil
	}
	d := &Destination{Type: DestinationType(v.get("Type").text), ARN: v.get("Destination").text}
	if d.Type != ToLambda && d.Type != ToS3Bucket {
		return nil, errorAt(v.line, "a destination of type %q does not run locally", d.Type)
	}
	if d.ARN == "" {
		return nil, errorAt(v.line, "the destination has no ARN")
	}
	return d, nil
}

// s3Events reads the events of type S3. The others are left alone before they
// are resolved, since they name resources that do not run locally.
func (p properties) s3Events() ([]S3Event, error) {
	var out []S3Event
	all := p.own.fields["Events"]
	for _, name := range all.keys {
		n := all.fields[name]
		if n.fields["Type"].text != "S3" {
			continue
		}
		own := n.fields["Properties"].fields
		e := S3Event{Bucket: own["Bucket"].text}
		if b := own["Bucket"]; b.fields != nil {
			e.Bucket = b.fields["Ref"].text // the long form of !Ref
		}
		events, err := p.resolve(own["Events"])
		if err != nil {
			return nil, err
		}
		if e.Events, err = events.strs(); err != nil {
			return nil, err
		}
		if len(e.Events) == 0 {
			return nil, errorAt(n.line, "event %s names no Events", name)
		}
		filter, err := p.resolve(own["Filter"])
		if err != nil {
			return nil, err
		}
		for _, rule := range filter.get("S3Key", "Rules").items() {
			switch strings.ToLower(rule.get("Name").text) {
			case "prefix":
				e.Prefix = rule.get("Value").text
			case "suffix":
				e.Suffix = rule.get("Value").text
			default:
				return nil, errorAt(rule.line, "a filter rule is named prefix or suffix")
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// httpEvents reads the events of type HttpApi.
func (p properties) httpEvents() ([]HTTPEvent, error) {
	var out []HTTPEvent
	all := p.own.fields["Events"]
	for _, name := range all.keys {
		n := all.fields[name]
		if n.fields["Type"].text != "HttpApi" {
			continue
		}
		own := n.fields["Properties"].fields
		e := HTTPEvent{API: own["ApiId"].text, Method: strings.ToUpper(own["Method"].text), Path: own["Path"].text}
		auth, err := p.resolve(own["Auth"])
		if err != nil {
			return nil, err
		}
		if id := own["ApiId"]; id.fields != nil {
			e.API = id.fields["Ref"].text // the long form of !Ref
		}
		if e.API == "" || e.Method == "" || e.Path == "" {
			return nil, errorAt(n.line, "event %s needs ApiId, Method and Path", name)
		}
		if err := p.letIn(&e, n.line, auth); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// statements reads the policy documents of Policies. A bare name is a managed
// policy of AWS; the local stack has none, so it grants nothing here.
func (p properties) statements() ([]Statement, error) {
	v, err := p.value("Policies")
	if err != nil {
		return nil, err
	}
	var out []Statement
	for _, doc := range v.items() {
		if doc.kind == scalar {
			continue
		}
		if doc.get("Statement").kind == absent {
			return nil, errorAt(doc.line, "want a policy document with a Statement: SAM's policy templates are not read")
		}
		for _, s := range doc.get("Statement").items() {
			statement, err := readStatement(s)
			if err != nil {
				return nil, err
			}
			out = append(out, statement)
		}
	}
	return out, nil
}

func readStatement(v value) (Statement, error) {
	s := Statement{Effect: v.get("Effect").text}
	if s.Effect != "Allow" && s.Effect != "Deny" {
		return Statement{}, errorAt(v.line, "the Effect of a statement is Allow or Deny")
	}
	var err error
	if s.Actions, err = v.get("Action").strs(); err != nil {
		return Statement{}, err
	}
	if s.Resources, err = v.get("Resource").strs(); err != nil {
		return Statement{}, err
	}
	if len(s.Actions) == 0 || len(s.Resources) == 0 {
		return Statement{}, errorAt(v.line, "a statement needs Action and Resource")
	}
	for operator, keys := range v.get("Condition").fields {
		for key, values := range keys.fields {
			texts, err := values.strs()
			if err != nil {
				return Statement{}, err
			}
			if s.Conditions == nil {
				s.Conditions = map[string]map[string][]string{}
			}
			if s.Conditions[operator] == nil {
				s.Conditions[operator] = map[string][]string{}
			}
			s.Conditions[operator][key] = texts
		}
	}
	return s, nil
}

// checkReferences fails where an event or a destination names a bucket or a
// function that is not there: it would never be heard of again.
func (r *resolver) checkReferences(t *Template) error {
	for _, f := range t.Functions {
		line := r.resources[f.LogicalID].line
		for _, e := range f.S3Events {
			if !slices.ContainsFunc(t.Buckets, func(b Bucket) bool { return b.LogicalID == e.Bucket }) {
				return errorAt(line, "%s: an event names the bucket %q, which is not there", f.LogicalID, e.Bucket)
			}
		}
		for _, e := range f.HTTPEvents {
			if !slices.ContainsFunc(t.APIs, func(a API) bool { return a.LogicalID == e.API }) {
				return errorAt(line, "%s: an event names the API %q, which is not there", f.LogicalID, e.API)
			}
		}
		for _, d := range []*Destination{f.OnSuccess, f.OnFailure} {
			if d != nil && !t.has(d) {
				return errorAt(line, "%s: a destination is not in the template", f.LogicalID)
			}
		}
	}
	return nil
}

func (t *Template) has(d *Destination) bool {
	if d.Type == ToS3Bucket {
		return slices.ContainsFunc(t.Buckets, func(b Bucket) bool { return b.ARN == d.ARN })
	}
	return slices.ContainsFunc(t.Functions, func(f Function) bool { return f.ARN == d.ARN })
}
