import { macosImage } from './macos.js'

export default macosImage('15', { called: 'sequoia' })
