import { simulationDrivers } from '../../src/main/simulate.ts'
import { drawScenario } from '../../src/simulate/draw.ts'
import { simulate } from '../../src/simulate/simulate.ts'

// Prints the hash of one seed's journal, and what this process makes of a date, so that whoever started it sees that it lives elsewhere.
const [seed, hours, hosts] = process.argv.slice(2).map(Number) as [number, number, number]
const { hash } = await simulate(drawScenario({ seed, hours, hosts, faultRate: 2 }), { drivers: simulationDrivers() })
console.log(JSON.stringify({ hash, hour: new Date(0).getHours(), version: process.versions.node }))
