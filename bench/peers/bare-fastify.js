// Fastify alone: reads a JSON body and answers another of the size that a controller answers. No store, no check of who calls.
// `node bare-fastify.js BYTES`; prints its port.
import Fastify from 'fastify'

const app = Fastify({ logger: false })
const answer = JSON.stringify({ desired: null, filler: 'x'.repeat(Math.max(0, Number(process.argv[2]) - 28)) })
app.post('/api/v1/agent/sync', async (_request, reply) => reply.type('application/json; charset=utf-8').send(answer))
await app.listen({ host: '127.0.0.1', port: 0 })
console.log(app.server.address().port)
