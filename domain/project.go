package domain

// ProjectCreated says that there is a project: a name under which an organization
// keeps together what belongs together. It comes into being when it is first
// named. Its number is the position of the commit.
type ProjectCreated struct {
	Name string `json:"name"`
}

// Kind is stored.
func (ProjectCreated) Kind() string { return "project.created" }

// Evolve takes the name.
func (e ProjectCreated) Evolve(o *Organization, m Meta) {
	o.projects[keyOf(AccountID{}, e.Name)] = m.Position
}

// Project is the number of the project with a name.
func (o *Organization) Project(name string) (Position, bool) {
	number, known := o.projects[keyOf(AccountID{}, name)]
	return number, known
}

// projectFor makes the project of a name, if one is named and there is none.
func (o *Organization) projectFor(name string) ([]Event, error) {
	if name == "" {
		return nil, nil
	}
	if err := checkName("project", name); err != nil {
		return nil, err
	}
	if _, known := o.Project(name); known {
		return nil, nil
	}
	if len(o.projects) >= maxProjects {
		return nil, Refuse(ErrState, "there are %d projects, and no more fit", "use one that is there", maxProjects)
	}
	return []Event{ProjectCreated{name}}, nil
}

const maxProjects = 10_000
