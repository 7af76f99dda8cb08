import { command } from '../../declare.ts'
import { explainSubject } from '../explain-subject.ts'

export const explain = command({
  name: 'explain',
  aliases: ['why'],
  summary: 'say what a job waits for and what to do about it',
  examples: [['cidery job explain job_01k…', 'which selector, resource or limit holds it']],
  arguments: [{ name: '<job>', about: 'id of the job', completes: 'job' }],
  prints: 'view',
  run: (cli, { args: [id = ''] }) => explainSubject(cli, id.includes('/') ? id : `job/${id}`),
})
