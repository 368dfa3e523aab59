// Package statemachines holds the definitions that order the steps, in the Amazon States Language. The files are
// deployed as they are: each cloud fills in the ${Name} placeholders, and the local host runs the same text.
package statemachines

import _ "embed"

//go:embed medallion.asl.json
var medallion []byte

// MedallionFile is the name of the medallion definition in messages.
const MedallionFile = "statemachines/medallion.asl.json"

// Medallion gives the definition of a pipeline run: bronze, silver and gold. The caller may change its copy.
func Medallion() []byte { return append([]byte(nil), medallion...) }

//go:embed maintenance.asl.json
var maintenance []byte

// MaintenanceFile is the name of the maintenance definition in messages.
const MaintenanceFile = "statemachines/maintenance.asl.json"

// Maintenance gives the definition of a maintenance run. The caller may change its copy.
func Maintenance() []byte { return append([]byte(nil), maintenance...) }
