// Package maintenance keeps Delta tables fit, of whatever maker, in a lake or not: Optimize rearranges rows into good files, Vacuum deletes
// files that no reader may still want, Restore goes back to an older version, Clone makes a table over another one's files, and Check
// looks for damage.
//
// What changes a table does so in ordinary commits, by Delta's rules of concurrency: other programs may write at the same time. Each
// operation may be killed at any moment and begun again; what it had written for a commit that never came is removed by a later Vacuum.
package maintenance
