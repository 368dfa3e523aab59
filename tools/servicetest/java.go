package servicetest

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// javaProgram is a Java program that tools/setup.sh installed into the folder that an environment variable names. The folder's file java.args
// has the class path, and names an archive of the classes, with which the program starts in half the time.
type javaProgram struct {
	java, dir string
}

func findJava(what, variable string) (javaProgram, error) {
	dir, err := installed(what, variable)
	if err != nil {
		return javaProgram{}, err
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return javaProgram{}, missing(fmt.Sprintf("no %s to test against: there is no java", what))
	}
	return javaProgram{java, dir}, nil
}

// command gives the program temp for its temporary files: libraries that it unpacks, and never tidies when it is killed.
func (j javaProgram) command(temp string, args ...string) *exec.Cmd {
	return exec.Command(j.java, append([]string{"@" + filepath.Join(j.dir, "java.args"), "-Djava.io.tmpdir=" + temp}, args...)...)
}
